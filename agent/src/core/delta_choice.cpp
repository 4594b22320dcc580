#include "skerry/agent/delta_choice.hpp"

#include <algorithm>
#include <chrono>

namespace skerry::agent {
namespace {

constexpr std::uint64_t kMeasurable = 1'000'000;
constexpr std::uint64_t kGuessedApplyRate = 50'000'000;

// The newest counts a quarter; rates change with the link, not with one transfer.
void mix(std::optional<std::uint64_t>& mean, std::uint64_t bytes, std::chrono::nanoseconds time) {
  const double seconds = std::max(std::chrono::duration<double>{time}.count(), 1e-6);
  const auto rate =
      static_cast<std::uint64_t>(std::clamp(static_cast<double>(bytes) / seconds, 1.0, 1e12));
  mean = mean ? (3 * *mean + rate) / 4 : rate;
}

std::string rate_text(std::uint64_t rate) {
  return std::to_string(rate / 1000) + " kB/s";
}

}  // namespace

DeltaVerdict judge_delta(const DeltaFacts& facts) {
  if (facts.policy == DeltaPolicy::kNever) {
    return {false, "sync.delta is \"never\""};
  }
  if (facts.delta_bytes >= facts.full_bytes) {
    return {false, "the rest of the file is not larger than the delta"};
  }
  if (facts.policy == DeltaPolicy::kAlways) {
    return {true, "fewer bytes, and sync.delta is \"always\""};
  }
  std::optional<std::uint64_t> rate = facts.link_rate;
  if (facts.link_limit != 0) {
    rate = std::min(rate.value_or(facts.link_limit), facts.link_limit);
  }
  if (!rate) {
    return facts.delta_bytes <= facts.full_bytes / 2
               ? DeltaVerdict{true, "at most half the bytes, on a link that was not measured yet"}
               : DeltaVerdict{false,
                              "more than half the bytes, on a link that was not measured yet"};
  }
  // The two do not overlap: the delta is complete before it is applied.
  const double full = static_cast<double>(facts.full_bytes) / static_cast<double>(*rate);
  const double delta = static_cast<double>(facts.delta_bytes) / static_cast<double>(*rate) +
                       static_cast<double>(facts.full_bytes) /
                           static_cast<double>(std::max<std::uint64_t>(1, facts.apply_rate));
  const std::string measured =
      "at " + rate_text(*rate) + " on the link and " + rate_text(facts.apply_rate) + " applied";
  return delta < full ? DeltaVerdict{true, "sooner done " + measured}
                      : DeltaVerdict{false, "the full file is sooner here " + measured};
}

void TransferRates::add_link(std::uint64_t bytes, std::chrono::nanoseconds time) {
  if (bytes >= kMeasurable) {
    const std::lock_guard lock{mutex_};
    mix(link_, bytes, time);
  }
}

void TransferRates::add_apply(std::uint64_t bytes, std::chrono::nanoseconds time) {
  if (bytes >= kMeasurable) {
    const std::lock_guard lock{mutex_};
    mix(apply_, bytes, time);
  }
}

std::optional<std::uint64_t> TransferRates::link() const {
  const std::lock_guard lock{mutex_};
  return link_;
}

std::uint64_t TransferRates::apply() const {
  const std::lock_guard lock{mutex_};
  return apply_.value_or(kGuessedApplyRate);
}

}  // namespace skerry::agent
