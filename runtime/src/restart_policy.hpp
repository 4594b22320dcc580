#pragma once

// When a worker that died may start again: after a delay that doubles from failure to failure.
// Sans-I/O.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "skerry/common/clock.hpp"

namespace skerry::runtime {

class RestartPolicy {
 public:
  RestartPolicy(std::chrono::milliseconds first, std::chrono::milliseconds longest)
      : first_(first), longest_(longest) {}

  // A worker that lived this long has recovered: the next failure counts as the first.
  static constexpr std::chrono::minutes kRecovered{5};

  void on_unclean_exit(BootTime now, std::chrono::nanoseconds lifetime) {
    failures_ = lifetime >= kRecovered ? 1 : failures_ + 1;
    const auto delay = first_ * (std::int64_t{1} << std::min(failures_ - 1, 20));
    not_before_ = now + std::min<std::chrono::nanoseconds>(delay, longest_);
  }
  void on_clean_exit() {
    failures_ = 0;
    not_before_ = BootTime{0};
  }

  // Zero: a worker may start now.
  [[nodiscard]] std::chrono::nanoseconds wait(BootTime now) const {
    return std::max<std::chrono::nanoseconds>(not_before_ - now, std::chrono::nanoseconds{0});
  }

 private:
  std::chrono::milliseconds first_;
  std::chrono::milliseconds longest_;
  int failures_ = 0;
  BootTime not_before_{0};
};

}  // namespace skerry::runtime
