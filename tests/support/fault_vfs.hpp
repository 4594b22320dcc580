#pragma once

// A SQLite VFS over the default one whose k-th changing call (write, sync, truncate, delete) fails,
// once or from then on: what a full or dying disk does to a database. Open the database with
// `OpenOptions::vfs = vfs.name()`. One per test; keep it alive longer than the database.
// Thread-safe.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace skerry::test {

enum class VfsFault { kNone, kIoError, kDiskFull, kShortWrite };

class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  [[nodiscard]] const std::string& name() const;
  // The k-th changing call from now on (0 is the next) fails; with `until_cleared` all later ones
  // too, as after a power cut.
  void fail_at(std::uint64_t k, VfsFault fault, bool until_cleared = false);
  void clear();
  [[nodiscard]] bool fired() const;

  // Asks `next` what each changing call meets, instead of counting by itself: one number can then
  // run over file and database operations (`FaultFileSystem::count_operation`).
  void follow(std::function<VfsFault()> next);

  // What a database in `folder` looks like after the power came back: only what was synced is there
  // (`torn`: also the first half of the sectors that were written since, as disks do). Close every
  // connection first. Names that were created or removed stay so.
  void lose_unsynced(const std::filesystem::path& folder, bool torn);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::test
