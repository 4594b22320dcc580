#pragma once

// The current policy and its last-known-good copy on disk. A daemon opens it once, asks `current()`
// for each decision and calls `replace` when a new document arrives (a file, SIGHUP, a signed TUF
// target). Thread-safe.

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "skerry/common/file_system.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::security {

class PolicyStore {
 public:
  // Loads the last-known-good copy at `path`; with none, starts with the policy that denies
  // everything. kPolicyInvalid if the copy is damaged: it was written by us, so someone changed it.
  static Result<std::unique_ptr<PolicyStore>> open(FileSystem& fs, std::filesystem::path path);

  [[nodiscard]] std::shared_ptr<const Policy> current() const;

  // Parses, checks the version, persists, then swaps. kRollback for an older version, or for the
  // same version with other content; the same bytes again change nothing. On any failure the
  // current policy stays.
  Result<std::shared_ptr<const Policy>> replace(std::string_view document);

 private:
  PolicyStore(FileSystem& fs, std::filesystem::path path, std::shared_ptr<const Policy> current);
  FileSystem& fs_;
  std::filesystem::path path_;
  std::mutex replacing_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Policy> current_;
};

}  // namespace skerry::security
