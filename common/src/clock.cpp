#include "skerry/common/clock.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fstream>

namespace skerry {
namespace {

Error time_error(std::string_view text) {
  return {Error::Code::kParse,
          "\"" + std::string{text.substr(0, 40)} + "\" is not a time like 2026-01-31T12:00:00Z"};
}

// Reads exactly `digits` decimal digits at `offset`.
bool read_number(std::string_view text, std::size_t offset, std::size_t digits, int& value) {
  value = 0;
  for (std::size_t i = offset; i < offset + digits; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') {
      return false;
    }
    value = value * 10 + (text[i] - '0');
  }
  return true;
}

}  // namespace

WallTime SystemClock::wall_now() const {
  return std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

BootTime SystemClock::boot_now() const {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
}

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::seconds>(time - day)};
  std::array<char, 40> text{};
  const int length = std::snprintf(text.data(),
                                   text.size(),
                                   "%04d-%02u-%02uT%02d:%02d:%02dZ",
                                   static_cast<int>(date.year()),
                                   static_cast<unsigned>(date.month()),
                                   static_cast<unsigned>(date.day()),
                                   static_cast<int>(clock.hours().count()),
                                   static_cast<int>(clock.minutes().count()),
                                   static_cast<int>(clock.seconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  const bool numbers = read_number(text, 0, 4, year) && read_number(text, 5, 2, month) &&
                       read_number(text, 8, 2, day) && read_number(text, 11, 2, hour) &&
                       read_number(text, 14, 2, minute) && read_number(text, 17, 2, second);
  if (!numbers || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':') {
    return time_error(text);
  }
  std::size_t at = 19;
  std::chrono::milliseconds fraction{0};
  if (at < text.size() && text[at] == '.') {
    std::size_t digits = 0;
    int milliseconds = 0;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++digits) {
      if (digits < 3) {
        milliseconds = milliseconds * 10 + (text[at] - '0');
      }
    }
    if (digits == 0 || digits > 9) {
      return time_error(text);
    }
    for (std::size_t i = digits; i < 3; ++i) {
      milliseconds *= 10;
    }
    fraction = std::chrono::milliseconds{milliseconds};
  }
  const std::chrono::year_month_day date{std::chrono::year{year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (at + 1 != text.size() || text[at] != 'Z' || !date.ok() || hour > 23 || minute > 59 ||
      second > 60) {
    return time_error(text);
  }
  return WallTime{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + std::chrono::seconds{second} + fraction;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace skerry
