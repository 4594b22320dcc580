#include "skerry/common/log.hpp"

#include <array>
#include <atomic>
#include <mutex>
#include <unistd.h>

namespace skerry {
namespace {

void append_value(std::string& line, std::string_view value) {
  const bool plain =
      !value.empty() && value.find_first_of(" \"=\\\n\r\t") == std::string_view::npos;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      line += ' ';
    } else {
      line += c;
    }
  }
  line += '"';
}

// Syslog priorities, which journald reads from a "<N>" prefix.
std::string_view priority(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "<7>";
    case LogLevel::kInfo:
      return "<6>";
    case LogLevel::kWarning:
      return "<4>";
    case LogLevel::kError:
      return "<3>";
  }
  return "<6>";
}

void write_all(std::string_view line) {
  while (!line.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, line.data(), line.size());
    if (count <= 0) {
      return;  // Nowhere left to report it.
    }
    line.remove_prefix(static_cast<std::size_t>(count));
  }
}

}  // namespace

struct Log::Shared {
  std::atomic<LogLevel> threshold;
  std::mutex mutex;
  Sink sink;
};

Log::Log(LogLevel threshold, Sink sink) : shared_(std::make_shared<Shared>()) {
  shared_->threshold = threshold;
  shared_->sink = std::move(sink);
}

Log Log::to_stderr(LogLevel threshold, bool journald) {
  return {threshold, [journald](const LogRecord& record) {
            std::string line{journald ? priority(record.level) : std::string_view{}};
            line += format_logfmt(record);
            line += '\n';
            write_all(line);
          }};
}

void Log::error(std::string_view event, const Error& error) const {
  write(LogLevel::kError, event, {{"code", to_string(error.code())}, {"error", error.message()}});
}

void Log::warning(std::string_view event, const Error& error) const {
  write(LogLevel::kWarning, event, {{"code", to_string(error.code())}, {"error", error.message()}});
}

void Log::set_threshold(LogLevel threshold) const {
  if (shared_) {
    shared_->threshold = threshold;
  }
}

void Log::write(LogLevel level, std::string_view event, std::vector<LogField> fields) const {
  if (!shared_ || level < shared_->threshold.load(std::memory_order_relaxed)) {
    return;
  }
  const LogRecord record{level, std::string{event}, std::move(fields)};
  const std::lock_guard lock{shared_->mutex};
  shared_->sink(record);
}

std::string format_logfmt(const LogRecord& record) {
  std::string line = "level=";
  line += to_string(record.level);
  line += " event=";
  append_value(line, record.event);
  for (const auto& field : record.fields) {
    line += ' ';
    line += field.key();
    line += '=';
    append_value(line, field.value());
  }
  return line;
}

std::string_view to_string(LogLevel level) noexcept {
  constexpr std::array<std::string_view, 4> kNames{"debug", "info", "warning", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

}  // namespace skerry
