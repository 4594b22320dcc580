#pragma once

// A copy of everything that a controller needs to be itself again on another machine: keys,
// certificates, database, metadata, policy, audit log, blobs (docs/formats/controller.md). Taken
// while the controller runs: the database by SQLite's own consistent copy, before the files that it
// refers to, which are never changed in place. Every file is listed with its digest, the list is
// written last: a copy without it is no backup. Blocks.

#include <cstdint>
#include <filesystem>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/settings.hpp"

namespace skerry::controller {

struct BackupReport {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  WallTime taken{};
};

// Writes to `target`, which must not exist or be empty (kAlreadyExists). It holds private keys:
// mode 0700, and its keeper must be as careful. kFailedPrecondition if the keys are not in the
// state directory's files.
Result<BackupReport> make_backup(FileSystem& fs,
                                 const Clock& clock,
                                 const Settings& settings,
                                 const std::filesystem::path& target);

// Reads every file of a backup and compares. kDigestMismatch, kNotFound name the file.
Result<BackupReport> check_backup(FileSystem& fs, const std::filesystem::path& source);

// Puts a backup in place of a state directory that must not exist or be empty. Every digest is
// checked on the way. Devices have moved on since: whatever nonce they show next is taken once. A
// restore that was cut off leaves a directory that no controller starts from.
Result<BackupReport> restore_backup(FileSystem& fs,
                                    const Settings& settings,
                                    const std::filesystem::path& source);

// What a cut-off restore leaves in the state directory.
inline constexpr std::string_view kRestoreMark = "restore-incomplete";

}  // namespace skerry::controller
