#pragma once

// The time seam. Components take a `Clock&`; only `main` makes a `SystemClock`. Gateways have wrong
// clocks, so the two times are kept apart: wall time is for people and expiry, boot time
// (CLOCK_BOOTTIME) for durations and back-off.

#include <chrono>
#include <string>
#include <string_view>

#include "skerry/common/result.hpp"

namespace skerry {

using WallTime = std::chrono::sys_time<std::chrono::milliseconds>;

// Time since boot, counted during suspend; never goes back within one boot.
using BootTime = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  // Thread-safe, never blocks.
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  [[nodiscard]] virtual BootTime boot_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] WallTime wall_now() const override;
  [[nodiscard]] BootTime boot_now() const override;
};

// A clock that tests move by hand. Thread-safe only if the test does not move it while others read.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start) : wall_(start) {}
  [[nodiscard]] WallTime wall_now() const override { return wall_; }
  [[nodiscard]] BootTime boot_now() const override { return boot_; }
  // Moves both times on.
  void advance(std::chrono::nanoseconds by) {
    wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(by);
    boot_ += by;
  }
  // Sets the wall time alone, as an NTP step or a flat battery does.
  void set_wall(WallTime wall) { wall_ = wall; }

 private:
  WallTime wall_;
  BootTime boot_{std::chrono::seconds{1}};
};

// RFC 3339 in UTC with seconds, as TUF writes it: "2026-11-22T19:18:27Z".
std::string to_rfc3339(WallTime time);
// Accepts exactly that form (with optional fraction of up to nine digits); kParse otherwise.
Result<WallTime> parse_rfc3339(std::string_view text);

// The kernel's random boot id, which tells one boot from the next; empty if unreadable.
std::string boot_id();

}  // namespace skerry
