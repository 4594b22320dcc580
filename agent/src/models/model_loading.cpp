// Bringing models into workers and out again: memory for them, leases on them, idle ones.

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "skerry/agent/upstreams.hpp"
#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/registry/device_profile.hpp"

#include "model_entry.hpp"

namespace skerry::agent {
namespace {

constexpr std::chrono::seconds kDrainGrace{30};
constexpr std::string_view kOptionPrefix = "skerry.option.";

// What the engine calls a file of this role.
std::string role_name(registry::FileRole role, bool first_weights) {
  if (role == registry::FileRole::kWeights) {
    return first_weights ? "model" : "external-data";
  }
  return std::string{to_string(role)};
}

bool engine_needs(registry::FileRole role) {
  using Role = registry::FileRole;
  return role == Role::kWeights || role == Role::kProjector || role == Role::kTokenizer ||
         role == Role::kTemplate || role == Role::kAdapter;
}

Result<std::vector<runtime::ModelFile>> open_files(registry::BlobStore& store,
                                                   const registry::Variant& variant) {
  std::vector<runtime::ModelFile> files;
  bool first_weights = true;
  for (const registry::ManifestFile& wanted : variant.files) {
    if (!engine_needs(wanted.role)) {
      continue;
    }
    Result<registry::OpenBlob> blob = store.open_verified(registry::WantedBlob::from(wanted));
    if (!blob) {
      return blob.error().with_context("opening " + wanted.name);
    }
    Result<UniqueFd> fd = blob->plain_fd();
    if (!fd) {
      return fd.error().with_context("opening " + wanted.name);
    }
    runtime::ModelFile file;
    file.fd = *std::move(fd);
    file.name = wanted.name;
    file.role = role_name(wanted.role, first_weights);
    file.length = wanted.size;
    file.digest = wanted.digest;
    first_weights = first_weights && wanted.role != registry::FileRole::kWeights;
    files.push_back(std::move(file));
  }
  return files;
}

// What the operator pinned with the version.
Result<std::vector<runtime::PinnedPrompt>> read_prompts(registry::BlobStore& store,
                                                        const registry::Manifest& manifest) {
  std::vector<runtime::PinnedPrompt> prompts;
  const registry::ManifestFile* file = registry::pinned_prompts_of(manifest);
  if (file == nullptr) {
    return prompts;
  }
  const Result<Bytes> bytes = store.read(file->digest, registry::PinnedPromptLimits::kBytes);
  if (!bytes) {
    return bytes.error();
  }
  const auto parsed = registry::parse_pinned_prompts(as_text(*bytes));
  if (!parsed) {
    return parsed.error();
  }
  for (const registry::PinnedPrompt& one : *parsed) {
    runtime::PinnedPrompt& prompt = prompts.emplace_back();
    prompt.name = one.name;
    for (const registry::PinnedMessage& message : one.messages) {
      prompt.messages.push_back(runtime::ChatMessage{message.role, message.content});
    }
  }
  return prompts;
}

}  // namespace

Task<Result<ModelHost::Lease>> ModelHost::acquire(ServedModelPtr model, std::string swap_out) {
  if (gate_) {
    Result<void> open = gate_(*model);
    if (!open) {
      co_return open.error();
    }
  }
  const std::string key = worker_key(*model);
  while (true) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      break;
    }
    const std::shared_ptr<Entry> entry = found->second;
    if (!entry->loading && !entry->draining) {
      entry->last_used = core_.clock.boot_now();
      entry->uses.used(entry->last_used);
      Lease lease(entry, std::move(model));
      co_return lease;
    }
    co_await changed_.wait();
    if (entry->failed) {
      co_return *entry->failed;
    }
  }
  auto entry = std::make_shared<Entry>(model);
  entry->memory = model->memory();
  entry->host = this;
  entries_.emplace(key, entry);
  std::optional<Error> failure;
  BootTime began = core_.clock.boot_now();
  try {
    Result<void> room = co_await make_room(model, std::move(swap_out));
    if (!room) {
      failure = room.error();
    } else {
      began = core_.clock.boot_now();
      Result<std::shared_ptr<runtime::LoadedModel>> loaded = co_await load(model);
      if (loaded) {
        entry->model = *std::move(loaded);
      } else {
        failure = loaded.error();
      }
    }
  } catch (...) {
    entry->failed = Error(Error::Code::kCancelled, "the load was cancelled");
    entries_.erase(key);
    changed_.notify();
    throw;
  }
  entry->loading = false;
  entry->last_used = core_.clock.boot_now();
  entry->load_time = entry->last_used - began;
  entry->uses.used(entry->last_used);
  if (failure) {
    entry->failed = failure;
    entries_.erase(key);
    changed_.notify();
    co_return *failure;
  }
  changed_.notify();
  Lease lease(entry, std::move(model));
  co_return lease;
}

Task<Result<std::shared_ptr<runtime::LoadedModel>>> ModelHost::reach(ServedModelPtr model) {
  if (upstreams_ == nullptr) {
    co_return Error(Error::Code::kUnimplemented, "no upstream servers are configured");
  }
  auto read = [this, digest = model->weights]() -> Result<upstream::Spec> {
    Result<Bytes> bytes = store_.read(digest, upstream::Spec::kBytes);
    return bytes ? upstream::parse_spec(as_text(*bytes)) : Result<upstream::Spec>{bytes.error()};
  };
  Result<upstream::Spec> spec = co_await async::offload(core_.disk, std::move(read));
  if (!spec) {
    co_return spec.error();
  }
  Result<std::shared_ptr<runtime::LoadedModel>> reached =
      co_await upstreams_->load(model->weights, *std::move(spec));
  if (reached) {
    core_.log.info("model.reached",
                   {{"model", model->name()},
                    {"version", model->version()},
                    {"variant", model->variant.name}});
  }
  co_return reached;
}

Task<Result<std::shared_ptr<runtime::LoadedModel>>> ModelHost::load(ServedModelPtr model) {
  if (model->variant.needs.runtime == upstream::kPlugin) {
    co_return co_await reach(std::move(model));
  }
  auto open = [this, model] { return open_files(store_, model->variant); };
  Result<std::vector<runtime::ModelFile>> files =
      co_await async::offload(core_.disk, std::move(open));
  if (!files) {
    co_return files.error();
  }
  std::vector<runtime::PinnedPrompt> prompts = co_await pinned_prompts(model);
  const RuntimeConfig& config = core_.settings->runtime();
  const registry::ActivationOptions& options = model->manifest->manifest.activation;
  runtime::LoadSpec spec;
  spec.model = model->weights;
  spec.plugin = model->variant.needs.runtime;
  spec.files = *std::move(files);
  spec.accelerator = model->variant.needs.accelerator;
  spec.context_length = config.context_length > 0
                            ? static_cast<std::uint32_t>(config.context_length)
                            : options.context_length;
  spec.max_sequences = options.max_sequences > 0 ? options.max_sequences
                                                 : static_cast<std::uint32_t>(config.max_sequences);
  spec.threads = static_cast<std::uint32_t>(config.threads);
  spec.adapt_threads = config.adapt_threads;
  spec.inter_token_target = config.inter_token_target;
  spec.prefix_cache = config.prefix_cache;
  spec.prefix_cache_tokens = static_cast<std::uint32_t>(config.prefix_cache_tokens);
  spec.drafting = config.drafting == "auto";
  spec.max_queued = static_cast<std::uint32_t>(config.max_queued);
  // What the signed manifest asks of the engine: "skerry.option.<key>" annotations.
  for (const auto& [key, value] : model->manifest->manifest.annotations) {
    if (key.starts_with(kOptionPrefix)) {
      spec.options.emplace_back(key.substr(kOptionPrefix.size()), value);
    }
  }
  spec.prompts = std::move(prompts);
  Result<security::SandboxRequirement> sandbox =
      security::parse_sandbox_requirement(config.sandbox);
  if (!sandbox) {
    co_return sandbox.error();
  }
  spec.sandbox = *sandbox;
  core_.log.info(
      "model.loading",
      {{"model", model->name()}, {"version", model->version()}, {"variant", model->variant.name}});
  Result<std::shared_ptr<runtime::LoadedModel>> loaded = co_await supervisor_.load(std::move(spec));
  if (loaded) {
    core_.log.info("model.loaded",
                   {{"model", model->name()},
                    {"version", model->version()},
                    {"variant", model->variant.name},
                    {"sandbox", (*loaded)->info().sandbox.summary()}});
  }
  co_return loaded;
}

// A file that makes no sense is told of and stops nothing.
Task<std::vector<runtime::PinnedPrompt>> ModelHost::pinned_prompts(ServedModelPtr model) {
  auto read = [this, model] { return read_prompts(store_, model->manifest->manifest); };
  Result<std::vector<runtime::PinnedPrompt>> prompts =
      co_await async::offload(core_.disk, std::move(read));
  if (prompts) {
    co_return *std::move(prompts);
  }
  if (const auto entry = entries_.find(worker_key(*model)); entry != entries_.end()) {
    entry->second->prompts_problem = prompts.error().message();
  }
  core_.log.warning("model.prompts_refused", prompts.error().with_context(model->name()));
  co_return std::vector<runtime::PinnedPrompt>();
}

Task<std::uint64_t> ModelHost::shortfall(ServedModelPtr model) {
  const std::uint64_t over = used() > budget_ ? used() - budget_ : 0;
  const std::uint64_t reserve = core_.settings->memory().reserve.bytes;
  // What is in the gate is not held back: a version must not fail because others were busy. What a
  // server answers takes no memory here.
  const bool elsewhere = model->variant.needs.runtime == upstream::kPlugin;
  if (reserve == 0 || model->slot.empty() || elsewhere) {
    co_return over;
  }
  auto read = [this] { return registry::detect_hardware(core_.fs, core_.settings->state_dir()); };
  Result<registry::DeviceProfile> machine = co_await async::offload(core_.disk, std::move(read));
  if (!machine || machine->memory_total == 0) {
    co_return over;
  }
  const std::uint64_t wanted = model->memory() + reserve;
  const std::uint64_t missing =
      wanted > machine->memory_available ? wanted - machine->memory_available : 0;
  co_return std::max(over, missing);
}

bool ModelHost::is_pinned(const std::string& key) const {
  const std::vector<std::string>& pinned = core_.settings->memory().pinned;
  return std::any_of(pinned.begin(), pinned.end(), [&](const std::string& slot) {
    const ServedModelPtr model = in_slot(slot);
    return model && worker_key(*model) == key;
  });
}

ServedModelPtr ModelHost::next_to_leave(std::uint64_t bytes, const std::string& swap_out) const {
  const BootTime now = core_.clock.boot_now();
  std::vector<ServedModelPtr> models;
  std::vector<MemoryHolder> holders;
  for (const auto& [key, entry] : entries_) {
    if (entry->loading || entry->draining) {
      continue;
    }
    if (!swap_out.empty() && entry->served->slot == swap_out) {
      return entry->served;
    }
    models.push_back(entry->served);
    holders.push_back({.bytes = entry->memory,
                       .reload = entry->load_time,
                       .uses = entry->uses.at(now),
                       .last_used = entry->last_used,
                       .may_leave = entry->leases == 0 && !is_pinned(key)});
  }
  const std::vector<std::size_t> leaving = choose_leaving(holders, bytes);
  return leaving.empty() ? nullptr : models[leaving.front()];
}

Task<Result<void>> ModelHost::make_room(ServedModelPtr model, std::string swap_out) {
  const std::uint64_t bytes = model->memory();
  if (bytes > budget_) {
    co_return Error(Error::Code::kOutOfMemory,
                    "needs " + std::to_string(bytes) + " bytes of memory, the budget is " +
                        std::to_string(budget_));
  }
  while (true) {
    const std::uint64_t missing = co_await shortfall(model);
    if (missing == 0) {
      co_return Result<void>();
    }
    ServedModelPtr victim = next_to_leave(missing, swap_out);
    if (!victim) {
      const bool ledger = used() > budget_;
      std::string why = ledger ? std::to_string(used() - bytes) + " of " + std::to_string(budget_) +
                                     " are taken by models that are answering, pinned or loading"
                               : "the machine has " + std::to_string(missing) +
                                     " too few: other programs, or models that stay, have the rest "
                                     "(memory.reserve)";
      co_return Error(Error::Code::kOutOfMemory,
                      "needs " + std::to_string(bytes) + " bytes of memory, " + std::move(why));
    }
    core_.log.info("model.unloading",
                   {{"model", victim->name()},
                    {"version", victim->version()},
                    {"reason", "memory is needed"}});
    co_await unload(std::move(victim));
  }
}

Task<bool> ModelHost::unload(ServedModelPtr model) {
  const std::string key = worker_key(*model);
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second->loading || found->second->draining) {
    co_return false;
  }
  const std::shared_ptr<Entry> entry = found->second;
  entry->draining = true;
  co_await entry->model->unload(kDrainGrace);
  entries_.erase(key);
  changed_.notify();
  co_return true;
}

// A model that no slot names any more goes with its last lease; its worker stops with it.
void ModelHost::drop_unused() {
  std::erase_if(entries_, [this](const auto& item) {
    const Entry& entry = *item.second;
    if (entry.loading || entry.draining || entry.leases > 0) {
      return false;
    }
    const bool named = std::any_of(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return worker_key(*slot.second) == item.first;
    });
    return !named;
  });
}

Task<void> ModelHost::run() {
  while (true) {
    const std::chrono::milliseconds limit = core_.settings->runtime().idle_unload;
    if (limit.count() == 0 || entries_.empty()) {
      co_await changed_.wait();
      continue;
    }
    co_await async::sleep_for(limit / 2);
    const BootTime now = core_.clock.boot_now();
    std::vector<ServedModelPtr> idle;
    for (const auto& [key, entry] : entries_) {
      if (!entry->loading && !entry->draining && entry->leases == 0 &&
          now - entry->last_used >= limit && !is_pinned(key)) {
        idle.push_back(entry->served);
      }
    }
    for (ServedModelPtr& model : idle) {
      core_.log.info("model.unloading",
                     {{"model", model->name()}, {"version", model->version()}, {"reason", "idle"}});
      co_await unload(std::move(model));
    }
  }
}

Task<void> ModelHost::preload() {
  std::map<std::string, std::string> tried;  // by slot: the worker's key
  while (true) {
    const std::uint64_t seen = refreshes_;
    const std::vector<std::string> slots = core_.settings->memory().preload;
    for (const std::string& slot : slots) {
      ServedModelPtr model = in_slot(slot);
      if (!model || is_loaded(*model) || tried[slot] == worker_key(*model)) {
        continue;
      }
      tried[slot] = worker_key(*model);
      const std::string name = model->name();
      // The lease goes at once: the model stays loaded without it.
      const Result<Lease> loaded = co_await acquire(std::move(model));
      if (!loaded) {
        core_.log.warning("model.preload_failed",
                          loaded.error().with_context("slot " + slot + ", " + name));
      }
    }
    while (refreshes_ == seen) {
      co_await refreshed_.wait();
    }
  }
}

}  // namespace skerry::agent
