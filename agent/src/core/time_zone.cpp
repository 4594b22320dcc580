#include "skerry/agent/time_zone.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <absl/time/time.h>

namespace skerry::agent {

// The library reads a file's table and, after it, the rule in its footer (RFC 8536, 3.3), which is
// all that "slim" files say of the present.
struct TimeZone::Zone {
  absl::TimeZone rules;
};

namespace {

// The library makes a path of it.
bool is_zone_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '/' &&
         name.find("..") == std::string::npos && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '/' || c == '_' || c == '-' || c == '+';
         });
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
  auto zone = std::make_shared<Zone>();
  if (!absl::LoadTimeZone(name, &zone->rules)) {
    return unknown;
  }
  out.zone_ = std::move(zone);
  out.name_ = name;
  return out;
}

std::chrono::seconds TimeZone::offset_at(WallTime time) const {
  if (!zone_) {
    return std::chrono::seconds{0};
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch();
  return std::chrono::seconds{
      zone_->rules.At(absl::FromUnixSeconds(std::int64_t{seconds.count()})).offset};
}

}  // namespace skerry::agent
