#include "skerry/security/trusted_time.hpp"

#include <algorithm>
#include <chrono>

namespace skerry::security {

namespace {

// Evidence further ahead than this moves the floor only when the clock is vouched for.
constexpr std::chrono::hours kMaxUnattestedJump{30 * 24};

}  // namespace

std::string_view to_string(TimeQuality quality) noexcept {
  switch (quality) {
    case TimeQuality::kFloor:
      return "floor";
    case TimeQuality::kSynchronised:
      return "synchronised";
    case TimeQuality::kAttested:
      return "attested";
    case TimeQuality::kUnattested:
      break;
  }
  return "unattested";
}

TimeFloor::TimeFloor(WallTime build_time, WallTime persisted_floor)
    : floor_(std::max(build_time, persisted_floor)) {}

TrustedTime TimeFloor::now(const Clock& clock, TimeQuality clock_quality) const {
  const WallTime wall = clock.wall_now();
  if (wall < floor_) {
    return TrustedTime{floor_, TimeQuality::kFloor};
  }
  return TrustedTime{wall, clock_quality};
}

bool TimeFloor::raise(WallTime evidence, TimeQuality quality) {
  if (evidence <= floor_) {
    return false;
  }
  if (quality < TimeQuality::kSynchronised && evidence - floor_ > kMaxUnattestedJump) {
    return false;
  }
  floor_ = evidence;
  return true;
}

}  // namespace skerry::security
