#pragma once

// Whether a delta is worth taking on this link: a plain function of what was measured. Used by
// `DeltaFetch`.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "skerry/common/clock.hpp"

namespace skerry::agent {

// "auto": what is done sooner; "always": what is fewer bytes (they cost money); "never".
enum class DeltaPolicy { kAuto, kAlways, kNever };

struct DeltaFacts {
  DeltaPolicy policy = DeltaPolicy::kAuto;
  // Still to be fetched, either way.
  std::uint64_t full_bytes = 0;
  std::uint64_t delta_bytes = 0;
  // Bytes per second. Nothing: no transfer was measured yet.
  std::optional<std::uint64_t> link_rate;
  // 0: no limit is configured.
  std::uint64_t link_limit = 0;
  std::uint64_t apply_rate = 1;
};

struct DeltaVerdict {
  bool take = false;
  // For the log.
  std::string why;
};

DeltaVerdict judge_delta(const DeltaFacts& facts);

// What this machine's link and processor did lately, each as a running mean. Thread-safe.
class TransferRates {
 public:
  // Transfers of less than a megabyte say nothing and are ignored.
  void add_link(std::uint64_t bytes, std::chrono::nanoseconds time);
  void add_apply(std::uint64_t bytes, std::chrono::nanoseconds time);
  [[nodiscard]] std::optional<std::uint64_t> link() const;
  // A careful guess until something was applied.
  [[nodiscard]] std::uint64_t apply() const;

 private:
  mutable std::mutex mutex_;
  std::optional<std::uint64_t> link_;
  std::optional<std::uint64_t> apply_;
};

}  // namespace skerry::agent
