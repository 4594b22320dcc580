#pragma once

// Time as far as it can be believed on a gateway: never before the build or before a floor that was
// persisted, and only called attested when someone vouches for the clock. An unattested clock turns
// an expiry into a warning (`tuf::Client`); version counters stay hard. Sans-I/O: the owner keeps
// the floor (registry.db) and passes it in.

#include <string_view>

#include "skerry/common/clock.hpp"

namespace skerry::security {

// How the wall clock is known, in rising order. Written to audit records.
enum class TimeQuality { kFloor, kUnattested, kSynchronised, kAttested };

// "floor", "unattested", "synchronised", "attested".
std::string_view to_string(TimeQuality quality) noexcept;

struct TrustedTime {
  WallTime now{};
  TimeQuality quality = TimeQuality::kUnattested;

  // Expiry is enforced, not only warned about.
  [[nodiscard]] bool attested() const { return quality >= TimeQuality::kSynchronised; }
};

class TimeFloor {
 public:
  TimeFloor(WallTime build_time, WallTime persisted_floor);

  // max(clock, build time, floor). A clock below the floor gives the floor with quality kFloor.
  // `clock_quality` is what the caller knows of the clock (NTP says synchronised).
  [[nodiscard]] TrustedTime now(const Clock& clock, TimeQuality clock_quality) const;
  // Raises the floor to `evidence`: a verified timestamp's issue time, the controller's time over
  // mTLS, an audit checkpoint. Never lowers it. A jump of more than 30 days from unattested
  // evidence is ignored. True if the floor moved: persist it.
  bool raise(WallTime evidence, TimeQuality quality);
  [[nodiscard]] WallTime floor() const { return floor_; }

 private:
  WallTime floor_;
};

}  // namespace skerry::security
