#include "skerry/agent/model_host.hpp"

#include <utility>

#include "skerry/async/offload.hpp"

#include "model_entry.hpp"

namespace skerry::agent {
std::uint64_t ServedModel::memory() const {
  const std::uint64_t own = variant.needs.ram_bytes > 0
                                ? variant.needs.ram_bytes
                                : variant.total_size() + variant.total_size() / 4;
  return own + copy_bytes;
}

Result<ServedModelPtr> make_served_model(std::shared_ptr<const registry::VerifiedManifest> manifest,
                                         std::string_view variant,
                                         bool encrypts) {
  const registry::Variant* found = manifest->manifest.find_variant(variant);
  if (found == nullptr) {
    return Error{Error::Code::kManifestInvalid,
                 "the manifest has no variant \"" + std::string{variant} + "\""};
  }
  const registry::ManifestFile* weights = found->find_file(registry::FileRole::kWeights);
  if (weights == nullptr) {
    return Error{Error::Code::kManifestInvalid,
                 "variant \"" + std::string{variant} + "\" has no weights"};
  }
  auto model = std::make_shared<ServedModel>();
  model->variant = *found;
  model->weights = weights->digest;
  model->copy_bytes = encrypts ? found->total_size() : 0;
  model->generation.manifest = manifest->digest;
  model->generation.model = manifest->manifest.model;
  model->generation.version = manifest->manifest.version.to_string();
  model->generation.variant = found->name;
  model->manifest = std::move(manifest);
  return ServedModelPtr{std::move(model)};
}

ModelHost::Lease::Lease(std::shared_ptr<Entry> entry, ServedModelPtr served)
    : entry_(std::move(entry)), served_(std::move(served)) {
  ++entry_->leases;
}

ModelHost::Lease::Lease(Lease&& other) noexcept
    : entry_(std::move(other.entry_)), served_(std::move(other.served_)) {
  other.entry_.reset();
}

ModelHost::Lease& ModelHost::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    entry_ = std::exchange(other.entry_, nullptr);
    served_ = std::move(other.served_);
  }
  return *this;
}

ModelHost::Lease::~Lease() {
  release();
}

void ModelHost::Lease::release() {
  if (!entry_) {
    return;
  }
  const std::shared_ptr<Entry> entry = std::exchange(entry_, nullptr);
  --entry->leases;
  if (entry->host != nullptr && entry->leases == 0) {
    entry->last_used = entry->host->core_.clock.boot_now();
    entry->host->drop_unused();
    entry->host->changed_.notify();
  }
}

runtime::LoadedModel& ModelHost::Lease::model() const {
  return *entry_->model;
}

ModelHost::ModelHost(Core& core,
                     registry::Catalogue& catalogue,
                     registry::BlobStore& store,
                     runtime::Supervisor& supervisor,
                     std::uint64_t budget)
    : core_(core),
      catalogue_(catalogue),
      store_(store),
      supervisor_(supervisor),
      budget_(budget),
      changed_(core.control),
      refreshed_(core.control) {}

ModelHost::~ModelHost() {
  for (const auto& [key, entry] : entries_) {
    entry->host = nullptr;
  }
}

Task<Result<void>> ModelHost::refresh() {
  using Slots = std::map<std::string, ServedModelPtr>;
  auto read = [this]() -> Result<Slots> {
    Result<std::vector<registry::Slot>> slots = catalogue_.list_slots();
    if (!slots) {
      return slots.error();
    }
    Slots served;
    for (const registry::Slot& slot : *slots) {
      if (!slot.active) {
        continue;
      }
      Result<registry::VerifiedManifest> manifest = catalogue_.manifest(slot.active->manifest);
      if (!manifest) {
        return manifest.error().with_context("slot " + slot.name.str());
      }
      Result<ServedModelPtr> base = make_served_model(
          std::make_shared<const registry::VerifiedManifest>(*std::move(manifest)),
          slot.active->variant,
          core_.settings->storage().encrypts());
      if (!base) {
        return base.error().with_context("slot " + slot.name.str());
      }
      auto model = std::make_shared<ServedModel>(**base);
      model->slot = slot.name.str();
      model->generation = *slot.active;
      model->on_trial = slot.on_trial;
      served.emplace(slot.name.str(), std::move(model));
    }
    return served;
  };
  Result<Slots> slots = co_await async::offload(core_.disk, std::move(read));
  if (!slots) {
    co_return slots.error();
  }
  slots_ = *std::move(slots);
  ++refreshes_;
  refreshed_.notify();
  drop_unused();
  if (on_refresh_) {
    on_refresh_();
  }
  co_return Result<void>();
}

Result<ServedModelPtr> ModelHost::resolve(const registry::ModelReference& reference) const {
  ServedModelPtr found;
  if (reference.names_slot()) {
    found = in_slot(reference.slot.str());
    if (!found) {
      return Error{Error::Code::kNotFound,
                   "no model is active in slot \"" + reference.slot.str() + "\""};
    }
  } else {
    for (const auto& [slot, model] : slots_) {
      if (model->manifest->manifest.model != reference.model) {
        continue;
      }
      const bool matches = reference.version.empty() || model->version() == reference.version;
      if (!found || (matches && !reference.version.empty())) {
        found = model;
      }
    }
    if (!found) {
      return Error{Error::Code::kNotFound,
                   "model \"" + reference.model.to_string() + "\" is not active here"};
    }
  }
  if (!reference.version.empty() && found->version() != reference.version) {
    return Error{Error::Code::kNotFound,
                 found->name() + ":" + reference.version + " is not active here; " +
                     found->version() + " is"};
  }
  if (!reference.variant.empty() && found->variant.name != reference.variant) {
    return Error{Error::Code::kNotFound,
                 found->name() + "@" + reference.variant + " is not active here; @" +
                     found->variant.name + " is"};
  }
  return found;
}

std::vector<ServedModelPtr> ModelHost::served() const {
  std::vector<ServedModelPtr> models;
  for (const auto& [slot, model] : slots_) {
    models.push_back(model);
  }
  return models;
}

ServedModelPtr ModelHost::in_slot(const std::string& slot) const {
  const auto found = slots_.find(slot);
  return found == slots_.end() ? nullptr : found->second;
}

std::vector<ModelHost::Loaded> ModelHost::loaded() const {
  std::vector<Loaded> list;
  for (const auto& [key, entry] : entries_) {
    if (entry->model) {
      list.push_back(Loaded{entry->served, entry->model, entry->memory, entry->leases});
    }
  }
  return list;
}

bool ModelHost::is_loaded(const ServedModel& model) const {
  return info(model) != nullptr;
}

const runtime::ModelInfo* ModelHost::info(const ServedModel& model) const {
  const auto found = entries_.find(worker_key(model));
  return found == entries_.end() || !found->second->model ? nullptr : &found->second->model->info();
}

std::vector<runtime::PinStatus> ModelHost::prompts(const ServedModel& model) const {
  const auto found = entries_.find(worker_key(model));
  if (found == entries_.end() || !found->second->model) {
    return {};
  }
  if (!found->second->prompts_problem.empty()) {
    return {{.name = std::string{registry::kPinnedPromptsFile},
             .state = runtime::PinState::kFailed,
             .tokens = 0,
             .problem = found->second->prompts_problem}};
  }
  return found->second->model->status().prompts;
}

std::uint64_t ModelHost::used() const {
  std::uint64_t total = 0;
  for (const auto& [key, entry] : entries_) {
    total += entry->memory;
  }
  return total;
}

std::string ModelHost::slot_of(const Digest& weights) const {
  for (const auto& [slot, model] : slots_) {
    if (model->weights == weights) {
      return slot;
    }
  }
  return {};
}

std::set<Digest> ModelHost::leased_blobs() const {
  std::set<Digest> digests;
  for (const auto& [key, entry] : entries_) {
    for (const registry::ManifestFile& file : entry->served->variant.files) {
      digests.insert(file.digest);
    }
  }
  return digests;
}

}  // namespace skerry::agent
