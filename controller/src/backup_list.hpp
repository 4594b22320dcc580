#pragma once

// backup.json: what a backup of a controller holds (docs/runbooks/restore-from-backup.md). Its
// paths are written to when it is restored, so none of them may lead out of the state directory.
// Fuzz target `backup_list`.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"

namespace skerry::controller {

inline constexpr std::size_t kMaxBackupList = 256U << 20U;

struct BackupEntry {
  // Relative, with '/'.
  std::string path;
  std::uint64_t size = 0;
  Digest digest;

  friend bool operator==(const BackupEntry&, const BackupEntry&) = default;
};

struct BackupList {
  WallTime taken{};
  std::vector<BackupEntry> entries;

  friend bool operator==(const BackupList&, const BackupList&) = default;
};

// kParse says what is wrong: a path that leads elsewhere, or one that is there twice, too.
Result<BackupList> parse_backup_list(std::string_view text);
std::string serialise_backup_list(const BackupList& list);

}  // namespace skerry::controller
