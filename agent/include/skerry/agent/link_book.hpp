#pragma once

// What may still come over the link: bytes per day and month, and quiet hours. Decides only: time,
// and what it is worth, are passed in; `LinkKeeper` keeps the book on disk.
//
// With a clock that somebody vouches for, days and months are those of UTC, and quiet hours those
// of a zone. Without one a day is 24 hours and a month 30 days in which this program ran, counted
// by the boot clock from the first byte on (time while it was off does not count, so that switching
// it off gives no new budget), and quiet hours do not hold, since nobody knows when they are
// (ADR 0090).

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/time_zone.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

// Minutes of the day there; `from` > `to` goes over midnight. An hour that the clocks skip is not
// there, one that they repeat is quiet twice.
struct QuietHours {
  int from = 0;
  int to = 0;
  friend bool operator==(const QuietHours&, const QuietHours&) = default;
};
// "22:00-06:30"; kParse otherwise.
Result<QuietHours> parse_quiet_hours(std::string_view text);

struct LinkRules {
  std::uint64_t daily = 0;    // 0: no limit
  std::uint64_t monthly = 0;  // 0: no limit
  std::vector<QuietHours> quiet;
  TimeZone zone;

  [[nodiscard]] bool any() const { return daily != 0 || monthly != 0 || !quiet.empty(); }
};

struct LinkTime {
  // Nothing: nobody vouches for the clock.
  std::optional<WallTime> wall;
  BootTime boot{};
};

// As it is stored.
struct LinkUse {
  // Days and months since 1970 by a clock that was vouched for; -1: begun without one.
  std::int64_t day = -1;
  std::int64_t month = -1;
  std::uint64_t day_bytes = 0;
  std::uint64_t month_bytes = 0;
  // How long the day and month have run, by the boot clock.
  std::chrono::milliseconds day_ran{0};
  std::chrono::milliseconds month_ran{0};

  [[nodiscard]] std::string to_json() const;
  static Result<LinkUse> from_json(std::string_view text);
  friend bool operator==(const LinkUse&, const LinkUse&) = default;
};

class LinkBook {
 public:
  LinkBook(LinkUse use, BootTime now) : use_(use), last_(now) {}

  // Begins a new day or month where one is due.
  void advance(const LinkTime& now);
  // kResourceExhausted, with what is used up and until when, or that it is quiet.
  [[nodiscard]] Result<void> may(const LinkRules& rules, const LinkTime& now) const;
  void add(std::uint64_t bytes);
  [[nodiscard]] const LinkUse& use() const { return use_; }

 private:
  LinkUse use_;
  BootTime last_;
};

}  // namespace skerry::agent
