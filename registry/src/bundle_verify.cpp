#include "skerry/registry/bundle_verify.hpp"

#include <utility>

namespace skerry::registry {
namespace {

namespace tuf = security::tuf;

// One of the two repositories, refreshed from the bundle as far as that is newer.
class BundleRepository {
 public:
  BundleRepository(FileSystem& fs,
                   const std::filesystem::path& metadata,
                   tuf::MetadataStore& store,
                   std::string name,
                   bool waive)
      : name_(std::move(name)), fetcher_(fs, metadata), client_(store, fetcher_, options(waive)) {}

  Result<void> refresh(const security::TrustedTime& time, VerifiedBundle& bundle) {
    auto outcome = client_.refresh(time);
    if (outcome) {
      for (const tuf::ExpiryWarning& warning : outcome->warnings) {
        bundle.remarks.push_back(name_ + ": " + warning.role.text() + " ended at " +
                                 to_rfc3339(warning.expires));
      }
      if (outcome->issued && (!bundle.issued || *bundle.issued < *outcome->issued)) {
        bundle.issued = outcome->issued;
      }
      return {};
    }
    if (outcome.error().code() != Error::Code::kRollback) {
      return outcome.error().with_context(name_ + " repository");
    }
    // The device has seen newer metadata than the bundle carries: that decides.
    bundle.remarks.push_back(name_ + ": the bundle's metadata is older than what is held here (" +
                             outcome.error().message() + ")");
    if (auto loaded = client_.load(time); !loaded) {
      return outcome.error().with_context(name_ + " repository");
    }
    return {};
  }

  tuf::Client& client() { return client_; }
  [[nodiscard]] std::int64_t version() const {
    return client_.targets() == nullptr ? 0 : client_.targets()->version;
  }

 private:
  static tuf::ClientOptions options(bool waive) {
    tuf::ClientOptions options;
    options.waive_online_expiry = waive;
    return options;
  }

  std::string name_;
  tuf::DirectoryFetcher fetcher_;
  tuf::Client client_;
};

Result<void> need_root(tuf::MetadataStore& store, std::string_view name) {
  const auto root = store.load(tuf::Role::kRoot);
  if (!root) {
    return root.error();
  }
  if (!*root) {
    return Error{Error::Code::kFailedPrecondition,
                 "no root of the " + std::string{name} +
                     " repository is pinned on this device, and none is taken from a bundle: set "
                     "trust." +
                     (name == "image" ? "" : "offline_") + "root_file"};
  }
  return {};
}

// Steps 1 and 2.
Result<void> check_directive(FileSystem& fs,
                             const std::filesystem::path& folder,
                             const BundleTrust& trust,
                             VerifiedBundle& bundle) {
  const auto text = read_file(fs, folder / kBundleDirective, BundleLimits::kBytes);
  if (!text) {
    return text.error().with_context("no bundle");
  }
  // Only its own name for itself is used before it is verified.
  auto directive = BundleDirective::parse(*text);
  if (!directive) {
    return directive.error();
  }
  if (auto rooted = need_root(trust.offline, "offline"); !rooted) {
    return rooted;
  }
  BundleRepository offline{fs, folder / kBundleOfflineMetadata, trust.offline, "offline", false};
  if (auto done = offline.refresh(trust.time, bundle); !done) {
    return done;
  }
  bundle.offline_version = offline.version();
  const tuf::TargetFile* target = offline.client().find_target(directive->target_path());
  if (target == nullptr) {
    return Error{Error::Code::kPermissionDenied,
                 "the offline repository (targets version " + std::to_string(offline.version()) +
                     ") does not list bundle \"" + directive->id +
                     "\": it was revoked, or never signed"};
  }
  if (auto same = target->check(*text); !same) {
    return same.error().with_context("bundle \"" + directive->id +
                                     "\" is not the one that was signed");
  }
  bundle.directive = *std::move(directive);
  return {};
}

Result<void> check_terms(const BundleDirective& directive, const BundleTrust& trust) {
  if (!trust.names.empty() && !directive.is_for(trust.names)) {
    std::string mine;
    for (const std::string& name : trust.names) {
      mine += (mine.empty() ? "" : ", ") + name;
    }
    return Error{Error::Code::kPermissionDenied,
                 "bundle \"" + directive.id + "\" is for other devices; this one is " + mine};
  }
  if (directive.not_after && trust.time.now > *directive.not_after) {
    return Error{Error::Code::kMetadataExpired,
                 "bundle \"" + directive.id + "\" may not be used after " +
                     to_rfc3339(*directive.not_after)};
  }
  if (directive.sequence < trust.sequence_floor) {
    return Error{Error::Code::kRollback,
                 "bundle \"" + directive.id + "\" has sequence " +
                     std::to_string(directive.sequence) + ", older than " +
                     std::to_string(trust.sequence_floor) + ", which was taken before"};
  }
  return {};
}

// Step 5 for one slot.
Result<VerifiedBundle::Model> check_slot(const OciLayout& layout,
                                         tuf::Client& image,
                                         const std::string& slot,
                                         const BundleSlot& wanted) {
  auto found = image.lookup(wanted.target);
  if (!found) {
    return found.error();
  }
  if (!found->stray.empty()) {
    return Error{Error::Code::kPermissionDenied,
                 "the image repository's role '" + found->role.text() + "' also lists " +
                     found->stray + ", which is not its own; nothing of it is installed"};
  }
  const auto digest = found->file.sha256();
  if (!digest) {
    return digest.error();
  }
  if (*digest != wanted.manifest || found->file.length != wanted.manifest_size) {
    return Error{Error::Code::kMetadataMismatch,
                 wanted.target + ": the offline repository names manifest " +
                     wanted.manifest.to_string() + ", the image repository signed " +
                     digest->to_string()};
  }
  OciDescriptor descriptor;
  descriptor.media_type = kOciManifestType;
  descriptor.digest = wanted.manifest;
  descriptor.size = wanted.manifest_size;
  auto bytes = layout.read(descriptor, ManifestLimits::kBytes);
  if (!bytes) {
    return bytes.error().with_context(wanted.target);
  }
  if (auto same = found->file.check(*bytes); !same) {
    return same.error().with_context(wanted.target);
  }
  return VerifiedBundle::Model{slot, *std::move(found), *std::move(bytes)};
}

}  // namespace

Result<VerifiedBundle> verify_bundle(FileSystem& fs,
                                     const std::filesystem::path& folder,
                                     const BundleTrust& trust) {
  VerifiedBundle bundle;
  const auto layout = OciLayout::open(fs, folder);
  if (!layout) {
    return layout.error().with_context("no bundle");
  }
  if (auto done = check_directive(fs, folder, trust, bundle); !done) {
    return done.error();
  }
  if (auto done = check_terms(bundle.directive, trust); !done) {
    return done.error();
  }
  if (auto done = check_bundle_files(fs, *layout, bundle.directive); !done) {
    return done.error();
  }
  if (auto rooted = need_root(trust.image, "image"); !rooted) {
    return rooted.error();
  }
  BundleRepository image{fs, folder / kBundleImageMetadata, trust.image, "image", true};
  if (auto done = image.refresh(trust.time, bundle); !done) {
    return done.error();
  }
  bundle.image_version = image.version();
  for (const auto& [slot, wanted] : bundle.directive.slots) {
    auto model = check_slot(*layout, image.client(), slot, wanted);
    if (!model) {
      return model.error().with_context("slot " + slot);
    }
    bundle.models.push_back(*std::move(model));
  }
  return bundle;
}

}  // namespace skerry::registry
