#include "spawn.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <spawn.h>
#include <sstream>
#include <unistd.h>
#include <utility>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace skerry::runtime {
namespace {

constexpr int kChildControl = 3;
constexpr int kWaitByPidfd = 3;  // P_PIDFD, newer than the C library's enumeration
constexpr int kEngineDead = 70;  // as skerry-worker's engine.cpp has it
constexpr int kCpuWeight = 20;   // the daemon's own is 100

class FileActions {
 public:
  FileActions() { posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

class Attributes {
 public:
  Attributes() {
    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Attributes() { posix_spawnattr_destroy(&attributes_); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  posix_spawnattr_t* get() { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

std::string read_first_line(const std::filesystem::path& path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  return line;
}

// Whole cores that a cgroup quota leaves; 0: no quota.
std::uint32_t quota_cores() {
  // Version 2: "<quota> <period>" or "max <period>".
  std::istringstream v2{read_first_line("/sys/fs/cgroup/cpu.max")};
  std::int64_t quota = 0;
  std::int64_t period = 0;
  if (!(v2 >> quota >> period)) {
    std::istringstream v1_quota{read_first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")};
    std::istringstream v1_period{read_first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us")};
    if (!(v1_quota >> quota) || !(v1_period >> period)) {
      return 0;
    }
  }
  if (quota <= 0 || period <= 0) {
    return 0;
  }
  return static_cast<std::uint32_t>(std::max<std::int64_t>(quota / period, 1));
}

}  // namespace

Result<SpawnedWorker> spawn_worker(const std::filesystem::path& program) {
  std::array<int, 2> pair{-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return errno_error(errno, "making a worker's control socket");
  }
  SpawnedWorker worker;
  worker.control.reset(pair[0]);
  const UniqueFd theirs{pair[1]};
  if (fcntl(worker.control.get(), F_SETFL, O_NONBLOCK) != 0) {
    return errno_error(errno, "making a worker's control socket non-blocking");
  }

  FileActions actions;
  posix_spawn_file_actions_addopen(actions.get(), STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(actions.get(), STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(actions.get(), theirs.get(), kChildControl);
  posix_spawn_file_actions_addclosefrom_np(actions.get(), kChildControl + 1);
  Attributes attributes;
  std::string name = program.filename().string();
  std::string locale = "LC_ALL=C.UTF-8";
  char* const arguments[] = {name.data(), nullptr};
  char* const environment[] = {locale.data(), nullptr};
  const int failed = posix_spawn(
      &worker.pid, program.c_str(), actions.get(), attributes.get(), arguments, environment);
  if (failed != 0) {
    return Error{Error::Code::kWorkerSetup,
                 errno_error(failed, "starting the worker program " + program.string()).message()};
  }
  worker.process.reset(static_cast<int>(syscall(SYS_pidfd_open, worker.pid, 0)));
  if (!worker.process) {
    const Error error = errno_error(errno, "pidfd_open");
    kill(worker.pid, SIGKILL);
    waitpid(worker.pid, nullptr, 0);
    return Error{Error::Code::kWorkerSetup, error.message()};
  }
  return worker;
}

Result<ProcessEnd> reap(const UniqueFd& process) {
  siginfo_t info{};
  int outcome = -1;
  do {
    outcome = waitid(
        static_cast<idtype_t>(kWaitByPidfd), static_cast<id_t>(process.get()), &info, WEXITED);
  } while (outcome != 0 && errno == EINTR);
  if (outcome != 0) {
    return errno_error(errno, "waiting for a worker");
  }
  return ProcessEnd{.exited = info.si_code == CLD_EXITED, .status = info.si_status};
}

std::string to_string(const ProcessEnd& end) {
  if (end.exited && end.status == kEngineDead) {
    return "gave up: its engine failed";
  }
  if (end.exited) {
    return "exited with status " + std::to_string(end.status);
  }
  std::string text = "killed by signal " + std::to_string(end.status);
  if (const char* name = sigabbrev_np(end.status); name != nullptr) {
    text += std::string{" (SIG"} + name + ")";
  }
  if (end.status == SIGSYS) {
    text += ": it made a system call that the sandbox forbids";
  } else if (end.status == SIGKILL) {
    text += ": perhaps the system ran out of memory";
  }
  return text;
}

void send_signal(const UniqueFd& process, int signal) {
  if (process) {
    syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0);
  }
}

void WorkerCgroup::set(const char* file, const std::string& value) {
  Result<std::unique_ptr<File>> control = fs_.open(leaf_ / file, OpenMode::kReadWrite);
  Result<void> written =
      control ? (*control)->write_at(0, as_bytes(value)) : Result<void>{control.error()};
  if (!written) {
    problem_ +=
        (problem_.empty() ? "" : "; ") + std::string{file} + ": " + written.error().message();
  }
}

WorkerCgroup::WorkerCgroup(FileSystem& fs,
                           const std::filesystem::path& parent,
                           int pid,
                           std::uint64_t memory_limit)
    : fs_(fs) {
  if (parent.empty()) {
    return;
  }
  leaf_ = parent / ("worker-" + std::to_string(pid));
  if (fs_.exists(leaf_)) {
    // Left by a worker of an earlier daemon with the same number; its process is gone.
    static_cast<void>(fs_.remove(leaf_));
  }
  if (Result<void> made = fs_.create_directories(leaf_, 0755); !made) {
    problem_ = made.error().message();
    leaf_.clear();
    return;
  }
  set("cpu.weight", std::to_string(kCpuWeight));
  if (memory_limit != 0) {
    set("memory.max", std::to_string(memory_limit + memory_limit / 10));
  }
  const std::string before = problem_;
  set("cgroup.procs", std::to_string(pid));
  if (problem_ != before) {
    static_cast<void>(fs_.remove(leaf_));
    leaf_.clear();
  }
}

WorkerCgroup::~WorkerCgroup() {
  if (active()) {
    static_cast<void>(fs_.remove(leaf_));
  }
}

ProcessMemoryUse memory_of(int pid) {
  ProcessMemoryUse use;
  std::ifstream in{"/proc/" + std::to_string(pid) + "/status"};
  std::string key;
  std::uint64_t kilobytes = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words{line};
    if (words >> key >> kilobytes) {
      if (key == "VmRSS:") {
        use.resident = kilobytes << 10U;
      } else if (key == "VmHWM:") {
        use.peak = kilobytes << 10U;
      }
    }
  }
  return use;
}

std::uint32_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::uint32_t cores = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cores = static_cast<std::uint32_t>(std::max(CPU_COUNT(&set), 1));
  }
  const std::uint32_t quota = quota_cores();
  return quota == 0 ? cores : std::min(cores, quota);
}

}  // namespace skerry::runtime
