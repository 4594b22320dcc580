#pragma once

// Reads what cpu_meter.hpp compares: /proc/stat, PSI and the cgroup's quota, through files that are
// opened before the sandbox closes and read again at each sample.

#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/unique_fd.hpp"

#include "cpu_meter.hpp"

namespace skerry::runtime {

class CpuProbe {
 public:
  // What a machine does not have is left out; a probe with nothing but the affinity works too. Call
  // once the process is in its cgroup.
  static CpuProbe open();
  // Any one thread.
  [[nodiscard]] CpuReading read(const Clock& clock) const;

 private:
  // The files of one cgroup: quota alone for version 2, quota and period for version 1.
  struct Quota {
    UniqueFd quota;
    UniqueFd period;
  };
  void open_quotas(const std::string& mount, std::string path, bool v2);

  UniqueFd stat_;
  UniqueFd pressure_;  // the cgroup's own where it has one, else the machine's
  UniqueFd throttled_;
  std::vector<Quota> quotas_;  // own cgroup and those above it
};

}  // namespace skerry::runtime
