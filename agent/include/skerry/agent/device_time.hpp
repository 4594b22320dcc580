#pragma once

// What time it is as far as this gateway can tell, and who says so: the persisted floor, the
// kernel's word on its synchronisation, and the controller's time over mTLS. Metadata expiry is
// judged by it (ADR 0021), audit records carry its quality, `skerry status` shows it.
//
// Thread-safe: the audit log and the transfer threads ask, the control thread is told.

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/security/trusted_time.hpp"

namespace skerry::agent {

class DeviceTime {
 public:
  // `synchronised` says whether the system clock is disciplined (NTP, PTP); it must not block.
  DeviceTime(const Clock& clock, WallTime floor, std::function<bool()> synchronised);

  // attested: the controller's time, carried on by the boot clock, at most 30 days after it was
  // last heard in this boot; the system clock is not asked. synchronised, unattested: the system
  // clock. floor: the system clock is before what was already seen.
  [[nodiscard]] security::TrustedTime now() const;

  // The controller's time, just received over an authenticated channel. A time before the one that
  // it vouched for earlier in this boot, carried on, is taken as that one. True if the floor should
  // be persisted (it moved by an hour or more since it last was).
  bool vouch(WallTime controller);
  // When verified metadata was issued. Far jumps are believed only with a vouched clock. True if
  // the floor moved.
  bool issued(WallTime time);
  [[nodiscard]] WallTime floor() const;

  // "attested", "synchronised", "unattested", "floor", and a sentence why.
  struct State {
    std::string word;
    std::string detail;
  };
  [[nodiscard]] State state() const;

 private:
  [[nodiscard]] security::TrustedTime now_locked() const;

  const Clock& clock_;
  std::function<bool()> synchronised_;
  mutable std::mutex mutex_;
  security::TimeFloor floor_;
  WallTime persisted_;
  struct Vouched {
    WallTime time;
    BootTime at;
  };
  std::optional<Vouched> vouched_;
};

// What the kernel says of the system clock (adjtimex).
bool kernel_clock_synchronised();

// When this program was made: no clock before it is believed.
WallTime build_time();

}  // namespace skerry::agent
