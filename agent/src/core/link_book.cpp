#include "skerry/agent/link_book.hpp"

#include <algorithm>

#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kDay = std::chrono::hours{24};
constexpr milliseconds kMonth = 30 * kDay;

struct Calendar {
  std::int64_t day = 0;
  std::int64_t month = 0;
  int minute = 0;  // of the day
};

Calendar calendar_of(WallTime time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{days};
  Calendar calendar;
  calendar.day = days.time_since_epoch().count();
  calendar.month = (static_cast<int>(date.year()) - 1970) * 12LL +
                   static_cast<std::int64_t>(static_cast<unsigned>(date.month())) - 1;
  calendar.minute =
      static_cast<int>(std::chrono::duration_cast<std::chrono::minutes>(time - days).count());
  return calendar;
}

std::string next_day(WallTime now) {
  return to_rfc3339(WallTime{std::chrono::floor<std::chrono::days>(now) + std::chrono::days{1}});
}

std::string next_month(WallTime now) {
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(now)};
  const auto first = (date.year() / date.month() + std::chrono::months{1}) / std::chrono::day{1};
  return to_rfc3339(WallTime{std::chrono::sys_days{first}});
}

std::string hours_left(milliseconds ran, milliseconds length) {
  const auto left = std::chrono::ceil<std::chrono::hours>(std::max(length - ran, milliseconds{0}));
  return "in " + std::to_string(left.count()) + " h of running time";
}

bool is_quiet(const QuietHours& hours, int minute) {
  return hours.from <= hours.to ? minute >= hours.from && minute < hours.to
                                : minute >= hours.from || minute < hours.to;
}

std::string clock_text(int minute) {
  const auto two = [](int value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  return two(minute / 60) + ":" + two(minute % 60);
}

// "HH:MM" as minutes; -1 if it is none.
int minutes_of(std::string_view text) {
  const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  if (text.size() != 5 || text[2] != ':' || !digit(0) || !digit(1) || !digit(3) || !digit(4)) {
    return -1;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  return hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

// One of the two spans, brought up to date.
void roll(std::int64_t& label,
          std::uint64_t& bytes,
          milliseconds& ran,
          milliseconds length,
          std::optional<std::int64_t> today) {
  const bool over = today && label >= 0 ? *today > label : !today && ran >= length;
  if (over) {
    label = today.value_or(-1);
    bytes = 0;
    ran = milliseconds{0};
  } else if (today && label < 0) {
    label = *today;  // what was spent before the clock was known counts for today
  }
}

}  // namespace

Result<QuietHours> parse_quiet_hours(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const QuietHours hours{minutes_of(text.substr(0, dash)), minutes_of(text.substr(dash + 1))};
    if (hours.from >= 0 && hours.to >= 0 && hours.from != hours.to) {
      return hours;
    }
  }
  return Error{Error::Code::kParse,
               "must be \"HH:MM-HH:MM\", in the zone of link.quiet_hours_zone"};
}

std::string LinkUse::to_json() const {
  Json::Object object;
  object.emplace("version", Json{std::int64_t{1}});
  object.emplace("day", Json{day});
  object.emplace("month", Json{month});
  object.emplace("day_bytes", Json{static_cast<std::int64_t>(day_bytes)});
  object.emplace("month_bytes", Json{static_cast<std::int64_t>(month_bytes)});
  object.emplace("day_ran_ms", Json{std::int64_t{day_ran.count()}});
  object.emplace("month_ran_ms", Json{std::int64_t{month_ran.count()}});
  return Json{std::move(object)}.dump();
}

Result<LinkUse> LinkUse::from_json(std::string_view text) {
  const auto json = Json::parse(text);
  if (!json) {
    return json.error();
  }
  LinkUse use;
  std::int64_t version = 0;
  std::int64_t day_bytes = 0;
  std::int64_t month_bytes = 0;
  std::int64_t day_ran = 0;
  std::int64_t month_ran = 0;
  const std::pair<std::string_view, std::int64_t*> members[] = {{"version", &version},
                                                                {"day", &use.day},
                                                                {"month", &use.month},
                                                                {"day_bytes", &day_bytes},
                                                                {"month_bytes", &month_bytes},
                                                                {"day_ran_ms", &day_ran},
                                                                {"month_ran_ms", &month_ran}};
  for (const auto& [name, out] : members) {
    const auto value = json->get_int(name);
    if (!value) {
      return value.error();
    }
    *out = *value;
  }
  if (version != 1 || use.day < -1 || use.month < -1 || day_bytes < 0 || month_bytes < 0 ||
      day_ran < 0 || month_ran < 0) {
    return Error{Error::Code::kParse, "a value that cannot be"};
  }
  use.day_bytes = static_cast<std::uint64_t>(day_bytes);
  use.month_bytes = static_cast<std::uint64_t>(month_bytes);
  use.day_ran = milliseconds{day_ran};
  use.month_ran = milliseconds{month_ran};
  return use;
}

void LinkBook::advance(const LinkTime& now) {
  const auto passed = std::chrono::floor<milliseconds>(now.boot - last_);
  if (passed.count() > 0) {
    last_ += passed;
    // A day that nothing came in has not begun.
    use_.day_ran += use_.day_bytes > 0 ? passed : milliseconds{0};
    use_.month_ran += use_.month_bytes > 0 ? passed : milliseconds{0};
  }
  std::optional<std::int64_t> day;
  std::optional<std::int64_t> month;
  if (now.wall) {
    const Calendar calendar = calendar_of(*now.wall);
    day = calendar.day;
    month = calendar.month;
  }
  roll(use_.day, use_.day_bytes, use_.day_ran, kDay, day);
  roll(use_.month, use_.month_bytes, use_.month_ran, kMonth, month);
}

Result<void> LinkBook::may(const LinkRules& rules, const LinkTime& now) const {
  const auto used_up = [](std::string_view what, std::uint64_t limit, const std::string& until) {
    return Error{Error::Code::kResourceExhausted,
                 "the link's " + std::string{what} + " of " + std::to_string(limit) +
                     " bytes is used; the next begins " + until};
  };
  if (rules.monthly != 0 && use_.month_bytes >= rules.monthly) {
    return used_up("monthly budget",
                   rules.monthly,
                   now.wall ? next_month(*now.wall) : hours_left(use_.month_ran, kMonth));
  }
  if (rules.daily != 0 && use_.day_bytes >= rules.daily) {
    return used_up("daily budget",
                   rules.daily,
                   now.wall ? next_day(*now.wall) : hours_left(use_.day_ran, kDay));
  }
  if (now.wall) {
    const int minute = calendar_of(*now.wall + rules.zone.offset_at(*now.wall)).minute;
    for (const QuietHours& hours : rules.quiet) {
      if (is_quiet(hours, minute)) {
        return Error{Error::Code::kResourceExhausted,
                     "the link is quiet until " + clock_text(hours.to) + " " + rules.zone.name()};
      }
    }
  }
  return {};
}

void LinkBook::add(std::uint64_t bytes) {
  use_.day_bytes += bytes;
  use_.month_bytes += bytes;
}

}  // namespace skerry::agent
