#pragma once

// A zone of the system's time zone database, for hours that people write down: quiet hours. Looked
// up once; a value that is cheap to copy and safe to share between threads (the C library's own
// zone is one for the whole process).

#include <chrono>
#include <memory>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

class TimeZone {
 public:
  // UTC.
  TimeZone() = default;
  // "Europe/Berlin", "UTC". kNotFound if the database does not have it, or is not installed. Reads
  // files.
  static Result<TimeZone> find(const std::string& name);

  // What a clock on the wall there is ahead of UTC at that time.
  [[nodiscard]] std::chrono::seconds offset_at(WallTime time) const;
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  struct Zone;
  // Null: UTC.
  std::shared_ptr<const Zone> zone_;
  std::string name_ = "UTC";
};

}  // namespace skerry::agent
