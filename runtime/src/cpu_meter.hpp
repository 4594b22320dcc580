#pragma once

// How busy the processor is for one worker: counters that the kernel keeps, read twice and
// compared. Pure; runtime/worker/cpu_probe.hpp reads the files, thread_governor.hpp decides.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"

namespace skerry::runtime {

// Counters at one moment. What could not be read is absent.
struct CpuReading {
  BootTime at{0};
  std::uint32_t cores = 1;         // that the process may run on (affinity)
  double own = 0;                  // CPU seconds of this process, all threads
  std::optional<double> busy;      // seconds in which those cores did not idle, whoever used them
  std::optional<double> pressure;  // seconds in which some task waited for a core (PSI)
  std::optional<double> quota;     // cores' worth of time that the cgroup, or one above, allows
  std::optional<std::uint64_t> throttled;  // periods in which the quota was used up
};

// What happened between two readings.
struct CpuSample {
  BootTime at{0};
  double seconds = 0;
  std::uint32_t cores = 1;
  std::optional<double> quota;
  // Cores' worth of time that others took from ours, time stolen by a hypervisor included.
  std::optional<double> others;
  std::optional<double> pressure;  // share of the time, 0 to 1
  bool throttled = false;
};

class CpuMeter {
 public:
  // The next sample counts from here: after a time in which nothing was computed.
  void restart(const CpuReading& reading) { last_ = reading; }
  // Nothing at first, and if no time has passed.
  std::optional<CpuSample> sample(const CpuReading& reading);

 private:
  std::optional<CpuReading> last_;
};

// /proc/stat: seconds in which the cores `cores` did not idle (user, nice, system, irq, softirq and
// steal; proc(5)). Nothing if one of the cores is not listed.
std::optional<double> parse_busy_time(std::string_view stat,
                                      std::span<const std::uint32_t> cores,
                                      double ticks_per_second);
// /proc/pressure/cpu or a cgroup's cpu.pressure: the total of the "some" line, in seconds.
std::optional<double> parse_pressure(std::string_view pressure);
// A cgroup v2 cpu.max, "<quota> <period>": cores; nothing for "max".
std::optional<double> parse_cpu_max(std::string_view text);
// cpu.cfs_quota_us and cpu.cfs_period_us of cgroup v1; nothing for -1.
std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period);
// nr_throttled of a cgroup's cpu.stat, both versions.
std::optional<std::uint64_t> parse_throttled(std::string_view stat);
// The path of /proc/self/cgroup for a controller ("cpu" for v1, "" for v2); empty: not there.
std::string_view find_cgroup(std::string_view cgroups, std::string_view controller);

}  // namespace skerry::runtime
