#include "process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <string_view>
#include <unistd.h>

#include <sys/prctl.h>

namespace skerry::runtime {
namespace {

constexpr std::size_t kThreadStack = 2U << 20U;
constexpr std::string_view kOomScore = "500";

// The value of a line "<key>:   <n> kB", in bytes.
std::uint64_t kilobytes(std::string_view status, std::string_view key) {
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos) {
    return 0;
  }
  return std::strtoull(status.data() + at + key.size(), nullptr, 10) << 10U;
}

}  // namespace

Result<ProcessMemory> ProcessMemory::open() {
  ProcessMemory memory;
  memory.status_.reset(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  if (!memory.status_) {
    return errno_error(errno, "opening /proc/self/status");
  }
  return memory;
}

MemoryFigures ProcessMemory::read() const {
  char buffer[4096] = {};
  const ssize_t got = pread(status_.get(), buffer, sizeof buffer - 1, 0);
  if (got <= 0) {
    return {};
  }
  const std::string_view status{buffer, static_cast<std::size_t>(got)};
  return {.resident = kilobytes(status, "VmRSS:"),
          .peak_resident = kilobytes(status, "VmHWM:"),
          .address_space = kilobytes(status, "VmSize:"),
          .data = kilobytes(status, "VmData:")};
}

void die_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

void settle_process() {
  die_with_parent();
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  // One arena: under a memory limit each further one takes address space that a model could use.
  mallopt(M_ARENA_MAX, 1);  // NOLINT(concurrency-mt-unsafe): no other thread runs yet
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  const UniqueFd score{::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)};
  if (score && write(score.get(), kOomScore.data(), kOomScore.size()) < 0) {
    return;  // a container may forbid it
  }
}

}  // namespace skerry::runtime
