#include "cpu_probe.hpp"

#include <ctime>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <unistd.h>
#include <utility>

namespace skerry::runtime {
namespace {

// The cores' lines come first and are short; a thousand cores fit.
constexpr std::size_t kStatBytes = 96U << 10U;
constexpr std::size_t kSmallBytes = 1024;
constexpr std::size_t kMostCgroups = 16;

UniqueFd open_to_read(const std::string& path) {
  return UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

std::string read_again(const UniqueFd& file, std::size_t most) {
  if (!file) {
    return {};
  }
  std::string text(most, '\0');
  std::size_t length = 0;
  while (length < most) {
    const ssize_t got =
        pread(file.get(), text.data() + length, most - length, static_cast<off_t>(length));
    if (got <= 0) {
      break;
    }
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  return text;
}

std::vector<std::uint32_t> allowed_cores() {
  std::vector<std::uint32_t> cores;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (std::uint32_t core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) {
        cores.push_back(core);
      }
    }
  }
  return cores;
}

double own_cpu_seconds() {
  timespec time{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) {
    return 0;
  }
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

// The tightest of the own cgroup and all above it counts.
void CpuProbe::open_quotas(const std::string& mount, std::string path, bool v2) {
  for (;;) {
    const std::string folder = mount + (path == "/" ? std::string{} : path);
    Quota quota;
    quota.quota = open_to_read(folder + (v2 ? "/cpu.max" : "/cpu.cfs_quota_us"));
    if (!v2) {
      quota.period = open_to_read(folder + "/cpu.cfs_period_us");
    }
    if (!throttled_ && quota.quota) {
      throttled_ = open_to_read(folder + "/cpu.stat");
    }
    if (quota.quota && quotas_.size() < kMostCgroups) {
      quotas_.push_back(std::move(quota));
    }
    if (path.empty() || path == "/") {
      return;
    }
    path.resize(path.rfind('/'));
  }
}

CpuProbe CpuProbe::open() {
  CpuProbe probe;
  probe.stat_ = open_to_read("/proc/stat");
  const std::string cgroups = read_again(open_to_read("/proc/self/cgroup"), 4 * kSmallBytes);
  if (const std::string_view v2 = find_cgroup(cgroups, ""); !v2.empty()) {
    for (const char* const mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
      probe.open_quotas(mount, std::string{v2}, true);
      if (!probe.pressure_ && v2 != "/") {
        probe.pressure_ = open_to_read(mount + std::string{v2} + "/cpu.pressure");
      }
    }
  }
  if (const std::string_view v1 = find_cgroup(cgroups, "cpu"); !v1.empty()) {
    probe.open_quotas("/sys/fs/cgroup/cpu", std::string{v1}, false);
  }
  if (!probe.pressure_) {
    probe.pressure_ = open_to_read("/proc/pressure/cpu");
  }
  return probe;
}

CpuReading CpuProbe::read(const Clock& clock) const {
  CpuReading reading;
  const std::vector<std::uint32_t> cores = allowed_cores();
  reading.cores = cores.empty() ? 1U : static_cast<std::uint32_t>(cores.size());
  reading.busy = parse_busy_time(
      read_again(stat_, kStatBytes), cores, static_cast<double>(sysconf(_SC_CLK_TCK)));
  reading.pressure = parse_pressure(read_again(pressure_, kSmallBytes));
  reading.throttled = parse_throttled(read_again(throttled_, kSmallBytes));
  for (const Quota& one : quotas_) {
    const std::string text = read_again(one.quota, kSmallBytes);
    const std::optional<double> cores_allowed =
        one.period ? parse_cfs_quota(text, read_again(one.period, kSmallBytes))
                   : parse_cpu_max(text);
    if (cores_allowed && (!reading.quota || *cores_allowed < *reading.quota)) {
      reading.quota = cores_allowed;
    }
  }
  reading.own = own_cpu_seconds();
  reading.at = clock.boot_now();
  return reading;
}

}  // namespace skerry::runtime
