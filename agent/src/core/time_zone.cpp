#include "skerry/agent/time_zone.hpp"

#include <algorithm>
#include <exception>

#include <date/tz.h>

namespace skerry::agent {
namespace {

// The library makes a path of it.
bool is_zone_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '/' &&
         name.find("..") == std::string::npos && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '/' || c == '_' || c == '-' || c == '+';
         });
}

// The library reads the table of a zone's file, which ends with 2037, and not the rule after it.
constexpr date::year kLastInTable{2037};

// A time within the table to which the same rule applies: rules speak of a month, a day of it and
// a weekday, and within eleven years every day of a year falls on every weekday.
date::sys_seconds within_table(date::sys_seconds time) {
  const auto days = date::floor<date::days>(time);
  const date::year_month_day day{days};
  if (day.year() <= kLastInTable) {
    return time;
  }
  const bool leap_day = day.month() == date::February && day.day() == date::day{29};
  const date::day same = leap_day ? date::day{28} : day.day();
  const date::weekday weekday{date::sys_days{day.year() / day.month() / same}};
  for (date::year year = kLastInTable; year > kLastInTable - date::years{11}; --year) {
    const date::sys_days candidate{year / day.month() / same};
    if (date::weekday{candidate} == weekday) {
      return candidate + (time - days);
    }
  }
  return time;
}

}  // namespace

Result<TimeZone> TimeZone::find(const std::string& name) {
  TimeZone out;
  if (name == "UTC") {
    return out;
  }
  const Error unknown{Error::Code::kNotFound,
                      "there is no time zone \"" + name.substr(0, 64) +
                          "\" here; names are as in /usr/share/zoneinfo (package tzdata), as "
                          "Europe/Berlin, or UTC"};
  if (!is_zone_name(name)) {
    return unknown;
  }
  try {
    out.zone_ = date::locate_zone(name);
    // Its file is read now, so that a damaged one is found here.
    static_cast<void>(out.offset_at(WallTime{}));
  } catch (const std::exception&) {
    return unknown;
  }
  out.name_ = name;
  return out;
}

std::chrono::seconds TimeZone::offset_at(WallTime time) const {
  if (zone_ == nullptr) {
    return std::chrono::seconds{0};
  }
  return zone_->get_info(within_table(date::floor<std::chrono::seconds>(time))).offset;
}

}  // namespace skerry::agent
