#include "skerry/agent/device_time.hpp"

#include <cmath>
#include <cstdio>
#include <utility>

#include <sys/timex.h>

namespace skerry::agent {
namespace {

using security::TimeQuality;
using security::TrustedTime;

// A boot clock of 100 ppm is four minutes off after this long.
constexpr std::chrono::hours kVouchedFor{30 * 24};
// So often at most does the controller's time reach the disk.
constexpr std::chrono::hours kPersistStep{1};

std::string length_of(std::chrono::milliseconds time) {
  const double seconds = std::fabs(static_cast<double>(time.count())) / 1000.0;
  char text[48] = {};
  if (seconds < 120) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (seconds < 7200) {
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  } else if (seconds < 172'800) {
    std::snprintf(text, sizeof text, "%.0f h", seconds / 3600);
  } else {
    std::snprintf(text, sizeof text, "%.0f days", seconds / 86'400);
  }
  return text;
}

}  // namespace

WallTime build_time() {
  return WallTime{std::chrono::milliseconds{SKERRY_BUILD_TIME_MS}};
}

bool kernel_clock_synchronised() {
  timex status{};
  const int state = ::adjtimex(&status);
  return state >= 0 && state != TIME_ERROR && (status.status & STA_UNSYNC) == 0;
}

DeviceTime::DeviceTime(const Clock& clock, WallTime floor, std::function<bool()> synchronised)
    : clock_(clock),
      synchronised_(std::move(synchronised)),
      floor_(build_time(), floor),
      persisted_(floor) {}

TrustedTime DeviceTime::now_locked() const {
  if (vouched_) {
    const BootTime since = clock_.boot_now() - vouched_->at;
    if (since <= kVouchedFor) {
      const WallTime time =
          vouched_->time + std::chrono::duration_cast<std::chrono::milliseconds>(since);
      return TrustedTime{std::max(time, floor_.floor()), TimeQuality::kAttested};
    }
  }
  return floor_.now(clock_,
                    synchronised_() ? TimeQuality::kSynchronised : TimeQuality::kUnattested);
}

TrustedTime DeviceTime::now() const {
  const std::lock_guard lock{mutex_};
  return now_locked();
}

bool DeviceTime::vouch(WallTime controller) {
  const std::lock_guard lock{mutex_};
  if (controller < floor_.floor()) {
    // A controller whose clock is behind what was signed is no witness.
    return false;
  }
  // Within a boot time goes on: whoever holds the controller's certificate cannot make it stand
  // still.
  const BootTime now = clock_.boot_now();
  WallTime believed = controller;
  if (vouched_) {
    believed = std::max(
        believed,
        vouched_->time + std::chrono::duration_cast<std::chrono::milliseconds>(now - vouched_->at));
  }
  vouched_ = Vouched{believed, now};
  floor_.raise(believed, TimeQuality::kAttested);
  if (floor_.floor() - persisted_ < kPersistStep) {
    return false;
  }
  persisted_ = floor_.floor();
  return true;
}

bool DeviceTime::issued(WallTime time) {
  const std::lock_guard lock{mutex_};
  if (!floor_.raise(time, now_locked().quality)) {
    return false;
  }
  persisted_ = floor_.floor();
  return true;
}

WallTime DeviceTime::floor() const {
  const std::lock_guard lock{mutex_};
  return floor_.floor();
}

DeviceTime::State DeviceTime::state() const {
  const std::lock_guard lock{mutex_};
  const TrustedTime now = now_locked();
  State state;
  state.word = to_string(now.quality);
  const auto behind = now.now - clock_.wall_now();
  switch (now.quality) {
    case TimeQuality::kAttested: {
      const auto ago =
          std::chrono::duration_cast<std::chrono::milliseconds>(clock_.boot_now() - vouched_->at);
      state.detail = "by the controller " + length_of(ago) + " ago; the system clock is " +
                     length_of(behind) + (behind.count() < 0 ? " ahead" : " behind");
      break;
    }
    case TimeQuality::kSynchronised:
      state.detail = "the system clock is disciplined (NTP or PTP)";
      break;
    case TimeQuality::kUnattested:
      state.detail = "nobody vouches for the system clock: expiry only warns";
      break;
    case TimeQuality::kFloor:
      state.detail = "the system clock is " + length_of(behind) +
                     " before what was already seen: expiry only warns";
      break;
  }
  return state;
}

}  // namespace skerry::agent
