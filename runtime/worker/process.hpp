#pragma once

// What the worker knows about and does to its own process, before the sandbox closes.

#include <cstdint>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::runtime {

struct MemoryFigures {
  std::uint64_t resident = 0;
  std::uint64_t peak_resident = 0;
  std::uint64_t address_space = 0;
  std::uint64_t data = 0;  // what RLIMIT_DATA counts
};

// Keeps the process's own /proc files open: they can still be read when no path can be opened.
class ProcessMemory {
 public:
  static Result<ProcessMemory> open();
  [[nodiscard]] MemoryFigures read() const;

 private:
  UniqueFd status_;
};

// Dies with the supervisor, goes first when memory is short, keeps the allocator and the threads
// small. Best effort.
void settle_process();

// Dies with the supervisor: a change of user forgets it, so this is called again after one.
void die_with_parent();

}  // namespace skerry::runtime
