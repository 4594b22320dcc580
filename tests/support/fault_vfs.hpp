#pragma once

// A SQLite VFS over the default one whose k-th changing call (write, sync, truncate, delete) fails,
// once or from then on: what a full or dying disk does to a database. Open the database with
// `OpenOptions::vfs = vfs.name()`. One per test; keep it alive longer than the database.
// Thread-safe.

#include <cstdint>
#include <memory>
#include <string>

namespace skerry::test {

enum class VfsFault { kIoError, kDiskFull };

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

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::test
