#pragma once

// Full-jitter exponential back-off (AWS Architecture Blog, "Exponential Backoff And Jitter"):
// sans-I/O, so that a component's retry loop is `sleep_for(backoff.next())`. Thousands of gateways
// that lost one controller come back spread out.

#include <algorithm>
#include <chrono>

#include "skerry/common/random.hpp"

namespace skerry::async {

class Backoff {
 public:
  struct Limits {
    std::chrono::milliseconds first{1'000};
    std::chrono::milliseconds longest{300'000};
  };

  Backoff(const Limits& limits, Random& random) : limits_(limits), random_(random) {}

  // Uniform in [0, min(longest, first · 2^n)] for the n-th failure in a row, but at least a tenth
  // of `first`, so that no loop spins. `at_least` is what the other side asked for (retry-after).
  std::chrono::milliseconds next(std::chrono::milliseconds at_least = {}) {
    const auto ceiling = std::min<std::chrono::milliseconds>(
        limits_.longest, limits_.first * (1L << std::min(failures_, 20)));
    ++failures_;
    const auto drawn = std::chrono::milliseconds{
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(ceiling.count()) + 1))};
    return std::max<std::chrono::milliseconds>({drawn, limits_.first / 10, at_least});
  }

  // After a success.
  void reset() { failures_ = 0; }

  [[nodiscard]] int failures() const { return failures_; }

 private:
  Limits limits_;
  Random& random_;
  int failures_ = 0;
};

}  // namespace skerry::async
