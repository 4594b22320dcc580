#pragma once

// Structured logging as a value: components take a `Log`, not a global. A record is an event name
// plus fields; the daemon prints one line per record to standard error in logfmt, with the syslog
// priority prefix that journald reads when asked for. Tests capture records and assert them.
//
//   log.info("model.activated", {{"model", "acme/log-triage"}, {"version", "1.2.0"}});
//
// No secret and no prompt text is ever a field.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "skerry/common/error.hpp"

namespace skerry {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(value) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(value) {}
  LogField(std::string_view key, bool value) : key_(key), value_(value ? "true" : "false") {}
  template <class Number>
    requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>)
  LogField(std::string_view key, Number value) : key_(key), value_(std::to_string(value)) {}

  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] const std::string& value() const noexcept { return value_; }

 private:
  std::string key_;
  std::string value_;
};

struct LogRecord {
  LogLevel level = LogLevel::kInfo;
  std::string event;
  std::vector<LogField> fields;
};

// Cheap to copy; thread-safe if the sink is (the ones made here are).
class Log {
 public:
  using Sink = std::function<void(const LogRecord&)>;

  // Drops everything.
  Log() = default;
  Log(LogLevel threshold, Sink sink);

  // logfmt lines to standard error; with `journald` each line starts with "<N>" (sd-daemon(3)).
  static Log to_stderr(LogLevel threshold, bool journald);

  void debug(std::string_view event, std::vector<LogField> fields = {}) const {
    write(LogLevel::kDebug, event, std::move(fields));
  }
  void info(std::string_view event, std::vector<LogField> fields = {}) const {
    write(LogLevel::kInfo, event, std::move(fields));
  }
  void warning(std::string_view event, std::vector<LogField> fields = {}) const {
    write(LogLevel::kWarning, event, std::move(fields));
  }
  void error(std::string_view event, std::vector<LogField> fields = {}) const {
    write(LogLevel::kError, event, std::move(fields));
  }
  void error(std::string_view event, const Error& error) const;
  void warning(std::string_view event, const Error& error) const;

  // Changes the threshold of every copy of this log (SIGHUP).
  void set_threshold(LogLevel threshold) const;

 private:
  struct Shared;
  void write(LogLevel level, std::string_view event, std::vector<LogField> fields) const;
  std::shared_ptr<Shared> shared_;
};

// "info level=… event=… key=value": values with spaces, quotes or control characters are quoted and
// escaped.
std::string format_logfmt(const LogRecord& record);

// "debug", "info", "warning", "error".
std::string_view to_string(LogLevel level) noexcept;

}  // namespace skerry
