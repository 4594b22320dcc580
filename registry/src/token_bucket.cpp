#include <algorithm>

#include "skerry/registry/fetcher.hpp"

namespace skerry::registry {

TokenBucket::TokenBucket(std::uint64_t rate, std::uint64_t burst, BootTime now)
    : rate_(rate),
      burst_(static_cast<double>(std::max<std::uint64_t>(burst, 1))),
      tokens_(burst_),
      last_(now) {}

std::chrono::nanoseconds TokenBucket::take(std::uint64_t bytes, BootTime now) {
  if (rate_ == 0) {
    return {};
  }
  const std::chrono::duration<double> passed = now - last_;
  last_ = now;
  tokens_ = std::min(burst_, tokens_ + std::max(0.0, passed.count()) * static_cast<double>(rate_));
  // A piece larger than the burst goes into debt, which the next ones pay off.
  tokens_ -= static_cast<double>(bytes);
  if (tokens_ >= 0) {
    return {};
  }
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>{-tokens_ / static_cast<double>(rate_)});
}

}  // namespace skerry::registry
