#include "skerry/agent/bundle_import.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/common/confined_folder.hpp"
#include "skerry/registry/metadata_store.hpp"
#include "skerry/registry/tar_folder.hpp"

#include "bundle_source.hpp"

namespace skerry::agent {
namespace {

// Folders of a watched folder that are looked at.
constexpr std::size_t kWatchedFolders = 64;
constexpr std::chrono::minutes kNothingWatched{1};

// A slot that rests with this offer has it, unless it was refused, failed or
// was taken back.
bool is_settled_well(activation::State state) {
  return !activation::is_resting(state) || state == activation::State::kCommitted;
}

Json remarks_json(const std::vector<std::string>& remarks) {
  Json::Array list;
  for (const std::string& remark : remarks) {
    list.emplace_back(remark);
  }
  return Json{std::move(list)};
}

// Nothing is fetched when a first root is pinned.
class NoBundleFetcher final : public security::tuf::Fetcher {
  Result<std::string> fetch(std::string_view name, std::size_t /*limit*/) override {
    return Error{Error::Code::kUnavailable, "no source for " + std::string{name}};
  }
};

// The documents of the security role that a verified bundle carries, by the
// metadata that its import has just stored. Those that it lists without
// carrying them wait for another source.
class BundleDocuments final : public TargetReader {
 public:
  BundleDocuments(const registry::BundleDirective& directive,
                  std::shared_ptr<ModelSource> source,
                  security::tuf::MetadataStore& image,
                  Installer& installer)
      : directive_(directive), source_(std::move(source)), image_(image), installer_(installer) {}

  Result<security::tuf::FoundTarget> find(std::string_view path) override {
    const auto lock = installer_.hold_trust();
    security::tuf::Client client{image_, source_->metadata()};
    if (Result<void> loaded = client.load(installer_.time().now()); !loaded) {
      return loaded.error();
    }
    return client.lookup(path);
  }

  Result<std::string> read(const security::tuf::FoundTarget& target, std::size_t limit) override {
    const Result<Digest> digest = target.file.sha256();
    if (!digest) {
      return digest.error();
    }
    const auto blob = directive_.blobs.find(*digest);
    if (blob == directive_.blobs.end()) {
      return Error{Error::Code::kUnavailable,
                   source_->name() + " does not carry the document that is listed"};
    }
    if (target.file.length > limit || blob->second != target.file.length) {
      return Error{Error::Code::kTooLarge,
                   "the signed length is " + std::to_string(target.file.length) + ", at most " +
                       std::to_string(limit) + " bytes are accepted"};
    }
    DocumentText text{static_cast<std::size_t>(target.file.length)};
    const registry::CancelFlag never;
    const registry::BlobRange range{*digest, 0, target.file.length};
    if (Result<void> done = source_->blobs().read(range, text, never); !done) {
      return done.error();
    }
    if (Result<void> checked = target.file.check(text.bytes()); !checked) {
      return checked.error().with_context(source_->name());
    }
    return text.bytes();
  }

 private:
  class DocumentText final : public registry::ByteSink {
   public:
    explicit DocumentText(std::size_t limit) : limit_(limit) {}
    Result<void> write(ByteView bytes) override {
      if (bytes_.size() + bytes.size() > limit_) {
        return Error{Error::Code::kTooLarge, "more bytes than the signed length"};
      }
      bytes_.append(as_text(bytes));
      return {};
    }
    [[nodiscard]] const std::string& bytes() const { return bytes_; }

   private:
    std::size_t limit_;
    std::string bytes_;
  };

  const registry::BundleDirective& directive_;
  std::shared_ptr<ModelSource> source_;
  security::tuf::MetadataStore& image_;
  Installer& installer_;
};

// Takes them, as from the controller; what is in force now, or why not, goes to
// the remarks. The trust must not be held.
void take_documents(registry::VerifiedBundle& bundle,
                    const std::shared_ptr<FileSystem>& folder,
                    security::tuf::MetadataStore& image,
                    Installer& installer) {
  SecurityTargets* security = installer.security_targets();
  if (security == nullptr) {
    return;
  }
  const std::vector<SecurityTargets::DocumentView> before = security->views();
  const registry::BundleDirective& directive = bundle.directive;
  BundleDocuments documents{directive, make_bundle_source(directive.id, folder), image, installer};
  security->refresh(documents);
  const std::vector<SecurityTargets::DocumentView> after = security->views();
  for (std::size_t i = 0; i < after.size(); ++i) {
    if (after[i].version != before[i].version) {
      bundle.remarks.push_back(after[i].name + " version " + std::to_string(after[i].version) +
                               " is in force");
    } else if (!after[i].problem.empty()) {
      bundle.remarks.push_back(after[i].name + ": " + after[i].problem);
    }
  }
}

}  // namespace

struct BundleImport::Opened {
  std::shared_ptr<FileSystem> folder;
  registry::VerifiedBundle bundle;
};

BundleImport::BundleImport(Core& core, Parts parts)
    : core_(core),
      parts_(std::move(parts)),
      offline_(registry::make_metadata_store(parts_.catalogue, "offline")),
      image_(registry::make_metadata_store(parts_.catalogue, "image")) {}

Result<void> BundleImport::pin_root(std::string_view root) {
  NoBundleFetcher fetcher;
  security::tuf::Client client{*offline_, fetcher};
  return client.bootstrap(root);
}

Result<BundleImport::Opened> BundleImport::open_and_verify(const std::filesystem::path& folder,
                                                           const std::vector<std::string>& names,
                                                           bool check_only) {
  if (!folder.is_absolute()) {
    return Error{Error::Code::kInvalidArgument, "the bundle's path must be absolute"};
  }
  auto opened = registry::open_folder_or_tar(folder);
  if (!opened) {
    return opened.error();
  }
  Opened result;
  result.folder = *std::move(opened);
  Result<std::uint64_t> floor = parts_.catalogue.floor(kBundleFloor);
  if (!floor) {
    return floor.error();
  }
  auto lock = parts_.installer.hold_trust();
  const registry::BundleTrust trust{
      *offline_, *image_, parts_.installer.time().now(), names, *floor};
  auto verified = registry::verify_bundle(*result.folder, "", trust);
  if (!verified) {
    return verified.error();
  }
  result.bundle = *std::move(verified);
  if (result.bundle.issued && parts_.installer.time().issued(*result.bundle.issued)) {
    if (Result<void> kept = parts_.installer.persist_time_floor(); !kept) {
      return kept.error();
    }
  }
  if (check_only) {
    return result;
  }
  if (Result<void> recorded = record_models(result.bundle); !recorded) {
    return recorded.error();
  }
  // Before anything is offered: an older bundle must not be taken after a power
  // cut.
  if (auto raised = parts_.catalogue.raise_floor(kBundleFloor, result.bundle.directive.sequence);
      !raised) {
    return raised.error();
  }
  lock.unlock();
  // Before the models are offered: a revocation on the same stick may name one.
  take_documents(result.bundle, result.folder, *image_, parts_.installer);
  return result;
}

Result<void> BundleImport::record_models(const registry::VerifiedBundle& bundle) {
  for (const registry::VerifiedBundle::Model& model : bundle.models) {
    Result<Digest> digest = parts_.store.put(as_bytes(model.manifest));
    if (!digest) {
      return digest.error();
    }
    if (Result<void> recorded =
            parts_.catalogue.record_manifest(model.manifest,
                                             *digest,
                                             "image",
                                             static_cast<std::uint64_t>(model.target.role_version),
                                             model.target.file.not_after());
        !recorded) {
      return recorded.error().with_context("slot " + model.slot);
    }
  }
  return {};
}

BundleImport::SlotOutcome BundleImport::offer(const registry::VerifiedBundle::Model& model,
                                              const std::string& id) {
  SlotOutcome outcome;
  outcome.slot = model.slot;
  outcome.manifest_digest = Digest::of(model.manifest).to_string();
  const auto named = registry::Manifest::parse(model.manifest);
  outcome.target = named ? named->target_path() : "";
  std::uint64_t seen = 0;
  for (const SlotView& view : parts_.slots.views()) {
    if (view.slot != model.slot) {
      continue;
    }
    const activation::Offer& last = view.record.offer;
    seen = std::max(view.record.seen_generation, last.generation);
    if (last.bundle == id && last.manifest_digest == outcome.manifest_digest &&
        is_settled_well(view.record.state)) {
      outcome.offered_before = true;
      outcome.generation = last.generation;
      return outcome;
    }
  }
  activation::Offer fresh;
  fresh.generation = seen + 1;
  fresh.target = outcome.target;
  fresh.manifest_digest = outcome.manifest_digest;
  fresh.bundle = id;
  outcome.generation = fresh.generation;
  parts_.slots.offer(model.slot, fresh);
  return outcome;
}

Task<Result<BundleImport::Outcome>> BundleImport::run(Caller caller,
                                                      std::filesystem::path folder,
                                                      bool check_only) {
  const security::Resource resource;
  const std::string action = check_only ? "bundle.check" : "bundle.import";
  Result<security::Decision> decision =
      co_await parts_.access.authorise(caller, security::Verb::kAdminSlotsWrite, resource, action);
  if (!decision) {
    co_return decision.error();
  }
  std::optional<security::Decision> decided = *std::move(decision);
  Result<Outcome> outcome =
      co_await take(std::move(caller), std::move(decided), std::move(folder), check_only);
  co_return outcome;
}

Task<Result<BundleImport::Outcome>> BundleImport::take(Caller caller,
                                                       std::optional<security::Decision> decision,
                                                       std::filesystem::path folder,
                                                       bool check_only) {
  const std::string action = check_only ? "bundle.check" : "bundle.import";
  security::AuditEvent intent = security::AuditEvent::intent(
      security::AuditClass::kTrust, caller.principal, action, "adm-" + core_.random.hex(8));
  intent.authn_method = caller.authn_method;
  if (decision) {
    intent.decision = *decision;
  }
  Json::Object details;
  details.emplace("folder", Json{folder.string()});
  intent.details = Json{details};
  Result<void> recorded = co_await parts_.audit.record_durable(intent);
  if (!recorded) {
    co_return recorded.error();
  }
  auto work = [this, folder, names = parts_.names(), check_only] {
    return open_and_verify(folder, names, check_only);
  };
  Result<Opened> opened = co_await async::offload(core_.transfer(), std::move(work));
  security::AuditEvent closing =
      opened ? intent.outcome_of(security::AuditOutcome::kSuccess)
             : intent.outcome_of(security::AuditOutcome::kFailure, opened.error().to_string());
  if (opened) {
    details.emplace("bundle", Json{opened->bundle.directive.id});
    details.emplace("sequence", Json{opened->bundle.directive.sequence});
    details.emplace("remarks", remarks_json(opened->bundle.remarks));
    closing.details = Json{std::move(details)};
  }
  Result<void> closed = co_await parts_.audit.record_durable(std::move(closing));
  if (!opened) {
    core_.log.warning("bundle.refused", opened.error());
    co_return opened.error();
  }
  if (!closed) {
    // What was taken must be on record before it takes effect.
    co_return closed.error();
  }
  const registry::BundleDirective& directive = opened->bundle.directive;
  Outcome outcome;
  outcome.id = directive.id;
  outcome.sequence = directive.sequence;
  outcome.bytes = directive.total_bytes();
  outcome.remarks = opened->bundle.remarks;
  if (!check_only) {
    parts_.slots.set_bundle(directive.id, make_bundle_source(directive.id, opened->folder));
  }
  for (const registry::VerifiedBundle::Model& model : opened->bundle.models) {
    if (!check_only) {
      outcome.slots.push_back(offer(model, directive.id));
      continue;
    }
    const registry::BundleSlot& slot = directive.slots.at(model.slot);
    SlotOutcome checked;
    checked.slot = model.slot;
    checked.target = slot.target;
    checked.manifest_digest = slot.manifest.to_string();
    outcome.slots.push_back(std::move(checked));
  }
  core_.log.info(
      check_only ? "bundle.checked" : "bundle.taken",
      {{"bundle", outcome.id}, {"sequence", outcome.sequence}, {"slots", outcome.slots.size()}});
  co_return outcome;
}

std::vector<BundleImport::Seen> BundleImport::look_into(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> places{folder};
  if (auto top = ConfinedFolder::open(folder); top) {
    auto names = (*top)->list("");
    for (std::size_t i = 0; names && i < std::min(names->size(), kWatchedFolders); ++i) {
      // Hidden ones are being copied, or a desktop's own.
      if (!(*names)[i].starts_with('.')) {
        places.push_back(folder / (*names)[i]);
      }
    }
  }
  std::vector<Seen> found;
  for (const std::filesystem::path& place : places) {
    auto here = ConfinedFolder::open(place);
    if (!here) {
      continue;
    }
    Result<FileStatus> directive = (*here)->status(registry::kBundleDirective);
    // index.json is written last: before that the bundle is still being copied.
    if (directive && (*here)->exists("index.json")) {
      found.push_back({place,
                       std::to_string(directive->device) + ":" + std::to_string(directive->inode) +
                           ":" + std::to_string(directive->ctime_ns)});
    }
  }
  return found;
}

Task<void> BundleImport::watch() {
  while (true) {
    const BundlesConfig config = core_.settings->bundles();
    if (config.watch.empty()) {
      co_await async::sleep_for(kNothingWatched);
      continue;
    }
    co_await async::sleep_for(config.interval);
    auto look = [folder = std::filesystem::path(config.watch)] { return look_into(folder); };
    std::vector<Seen> found = co_await async::offload(core_.disk, std::move(look));
    const std::vector<Seen> before = std::exchange(seen_, found);
    for (const Seen& place : found) {
      if (std::find(before.begin(), before.end(), place) != before.end()) {
        continue;
      }
      Caller caller;
      caller.principal = security::Principal::system("bundles");
      caller.authn_method = "internal";
      std::optional<security::Decision> by_configuration;
      // Taken or refused: it is on the audit log either way, and not tried
      // again.
      Result<Outcome> outcome =
          co_await take(std::move(caller), std::move(by_configuration), place.folder, false);
      if (!outcome && outcome.error().code() == Error::Code::kIo) {
        // Pulled out while it was read; looked at again when it is back.
        std::erase(seen_, place);
      }
    }
  }
}

}  // namespace skerry::agent
