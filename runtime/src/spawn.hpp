#pragma once

// Starting a worker process and finding out how it ended. posix_spawn, never fork: the daemon may
// map what must not be copied, and has threads.

#include <cstdint>
#include <filesystem>
#include <string>

#include "skerry/common/error.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::runtime {

struct SpawnedWorker {
  int pid = 0;
  UniqueFd process;  // pidfd: readable once the process has ended
  UniqueFd control;  // non-blocking stream socket
};

// kWorkerSetup names the program that cannot be started.
Result<SpawnedWorker> spawn_worker(const std::filesystem::path& program);

struct ProcessEnd {
  bool exited = false;  // else killed by a signal
  int status = 0;       // exit status or signal number
};

// Reaps a process whose pidfd is readable.
Result<ProcessEnd> reap(const UniqueFd& process);
// "exited with status 70", "killed by signal 6 (SIGABRT)", with what is known about the cause.
std::string to_string(const ProcessEnd& end);

void send_signal(const UniqueFd& process, int signal);

// A leaf of a delegated cgroup v2 directory: less CPU weight than the daemon, memory.max where
// there is a limit (a tenth above RLIMIT_DATA, for the pages of files and the kernel's own).
// Removes it when destroyed, which works once the process has gone. Without a parent it does
// nothing.
class WorkerCgroup {
 public:
  // `fs` outlives it.
  WorkerCgroup(FileSystem& fs,
               const std::filesystem::path& parent,
               int pid,
               std::uint64_t memory_limit);
  ~WorkerCgroup();
  WorkerCgroup(const WorkerCgroup&) = delete;
  WorkerCgroup& operator=(const WorkerCgroup&) = delete;
  // The process is in its leaf.
  [[nodiscard]] bool active() const { return !leaf_.empty(); }
  // What was asked for and could not be had, for the log; empty: all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  void set(const char* file, const std::string& value);

  FileSystem& fs_;
  std::filesystem::path leaf_;
  std::string problem_;
};

// Resident and peak bytes of a process; zero if it cannot be read.
struct ProcessMemoryUse {
  std::uint64_t resident = 0;
  std::uint64_t peak = 0;
};
ProcessMemoryUse memory_of(int pid);

// Cores that this process may use: affinity and cgroup quota, at least 1.
std::uint32_t usable_cores();

}  // namespace skerry::runtime
