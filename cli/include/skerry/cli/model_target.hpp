#pragma once

// A packed model as an entry of the signed list, and signing that list with the keys at hand. Used
// by `skerry repo` and `skerry fleet push --sign`.

#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/security/tuf/repository.hpp"

namespace skerry::cli {

struct ModelTarget {
  std::string path;  // models/<team>/<name>/<version>
  security::tuf::TargetFile file;
  registry::Manifest manifest;
  std::string bytes;  // of the manifest, canonical
};

// Reads a manifest, or the `manifest.json` of a packed model's folder. kManifestInvalid if it is
// not canonical: its hash would not be the one that devices compute.
Result<ModelTarget> load_model_target(FileSystem& fs, const std::string& path);

// What `--not-after` says, into the target: no device whose clock somebody vouches for installs it
// after that moment. A date ("2027-06-30", midnight in UTC) or RFC 3339; empty: without an end.
// kInvalidArgument.
Result<void> set_not_after(ModelTarget& target, const std::string& text);

// Signs the staged files of `roles` with every key that may; a role with nothing staged is passed
// over. kPermissionDenied if a key is none of any staged role's. Gives a line per signature.
Result<std::vector<std::string>> sign_staged(FileSystem& fs,
                                             security::tuf::Repository& repository,
                                             const std::vector<security::tuf::RoleName>& roles,
                                             const std::vector<std::string>& keys);

}  // namespace skerry::cli
