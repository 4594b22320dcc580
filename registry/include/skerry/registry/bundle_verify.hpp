#pragma once

// May this device install from this bundle, and what? All of the trust in a bundle is decided here,
// for the agent (`skerry bundle import`) and for people who look at one first (`inspect`). Nothing
// is trusted on first use: both repositories start from roots that the stores hold already.
//
//   1. `offline`: the whole TUF workflow, its expiry enforced. Older than what the store holds: the
//      held one decides, so that a bundle that was revoked since is refused.
//   2. The directive is the target bundles/<id> of it: hash, device, end, sequence.
//   3. The files of the layout are those that the directive lists.
//   4. `image`: the same workflow; the end of timestamp and snapshot is waived (Uptane
//   PURE-2, 8.4).
//   5. Each slot's manifest is what both of them name: path, length, hash.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/bundle.hpp"
#include "skerry/security/trusted_time.hpp"
#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/metadata_store.hpp"

namespace skerry::registry {

struct BundleTrust {
  // Of the two repositories; both hold a root. Verified metadata that is newer is kept in them.
  security::tuf::MetadataStore& offline;
  security::tuf::MetadataStore& image;
  security::TrustedTime time;
  // What this device is called; empty: whom the bundle is for is not asked.
  std::vector<std::string> names;
  // The highest sequence that was taken before.
  std::uint64_t sequence_floor = 0;
};

struct VerifiedBundle {
  BundleDirective directive;
  struct Model {
    std::string slot;
    security::tuf::FoundTarget target;
    // The manifest, byte for byte as signed.
    std::string manifest;
  };
  std::vector<Model> models;
  std::int64_t offline_version = 0;
  std::int64_t image_version = 0;
  // In words: what had ended and was let pass, and metadata that was older than what is held.
  std::vector<std::string> remarks;
  // When the bundle's metadata was made, for the time floor.
  std::optional<WallTime> issued;
};

// `folder` is the bundle in `fs` (a `ConfinedFolder` where it comes from outside). Blocks.
// kFailedPrecondition without a pinned root; kPermissionDenied if the offline repository does not
// list it (any more) or it is for other devices; kRollback for an older one than was taken before;
// kMetadataExpired, kMetadataMismatch, kDigestMismatch and what the TUF client gives. The message
// says which of the steps above failed.
Result<VerifiedBundle> verify_bundle(FileSystem& fs,
                                     const std::filesystem::path& folder,
                                     const BundleTrust& trust);

}  // namespace skerry::registry
