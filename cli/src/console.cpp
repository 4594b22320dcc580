#include "skerry/cli/console.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <istream>
#include <ostream>

#include <fmt/format.h>

#include "skerry/common/clock.hpp"

namespace skerry::cli {
namespace {

// Code points, which is close enough to columns for the names and figures shown here.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return text;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20U || byte == 0x7FU ? ' ' : c;
  }
  return out;
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  const auto measure = [&widths](const std::vector<std::string>& row) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], columns(row[i]));
    }
  };
  measure(header_);
  std::for_each(rows_.begin(), rows_.end(), measure);
  std::string out;
  const auto append = [&out, &widths](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = printable(row[i]);
      line += cell;
      if (i + 1 < row.size()) {
        line += std::string(widths[i] - columns(row[i]) + 2, ' ');
      }
    }
    out += line + "\n";
  };
  std::vector<std::string> header;
  std::transform(header_.begin(), header_.end(), std::back_inserter(header), upper);
  append(header);
  std::for_each(rows_.begin(), rows_.end(), append);
  return out;
}

std::string Table::markdown() const {
  const auto line = [](const std::vector<std::string>& row) {
    std::string text = "|";
    for (const std::string& cell : row) {
      text += " " + printable(cell) + " |";
    }
    return text + "\n";
  };
  std::string out = line(header_) + "|";
  for (std::size_t i = 0; i < header_.size(); ++i) {
    out += i == 0 ? "---|" : "---:|";
  }
  out += "\n";
  for (const auto& row : rows_) {
    out += line(row);
  }
  return out;
}

void Console::print(std::string_view text) {
  streams_.out << text;
}

void Console::line(std::string_view text) {
  streams_.out << text << '\n';
}

void Console::note(std::string_view text) {
  finish_progress();
  streams_.err << text << '\n';
}

void Console::print_json(const Json& json) {
  streams_.out << json.dump_pretty() << '\n';
}

void Console::flush() {
  streams_.out.flush();
}

void Console::progress(std::string_view label, std::uint64_t done, std::uint64_t total) {
  if (!streams_.interactive || total == 0) {
    return;
  }
  const int percent = static_cast<int>(std::min<std::uint64_t>(100, done * 100 / total));
  if (drawing_ && percent == last_percent_) {
    return;
  }
  constexpr int kWidth = 30;
  const int filled = percent * kWidth / 100;
  streams_.err << fmt::format("\r\x1b[K{} [{}{}] {:3d} %  {} / {}",
                              printable(label),
                              std::string(static_cast<std::size_t>(filled), '#'),
                              std::string(static_cast<std::size_t>(kWidth - filled), ' '),
                              percent,
                              human_bytes(done),
                              human_bytes(total));
  streams_.err.flush();
  last_percent_ = percent;
  drawing_ = true;
}

void Console::finish_progress() {
  if (drawing_) {
    streams_.err << '\n';
    drawing_ = false;
    last_percent_ = -1;
  }
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::uint64_t kStep = 1024;
  if (bytes < kStep) {
    return fmt::format("{} B", bytes);
  }
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < static_cast<double>(kStep)) {
      break;
    }
    value /= static_cast<double>(kStep);
    unit = next;
  }
  return fmt::format("{:.1f} {}", value, unit);
}

std::string human_time(std::uint64_t unix_ms) {
  if (unix_ms == 0) {
    return "-";
  }
  std::string text =
      to_rfc3339(WallTime{std::chrono::milliseconds{static_cast<std::int64_t>(unix_ms)}});
  std::replace(text.begin(), text.end(), 'T', ' ');
  std::replace(text.begin(), text.end(), 'Z', ' ');
  return text + "UTC";
}

std::string short_digest(std::string_view digest, std::size_t length) {
  constexpr std::string_view kPrefix = "sha256:";
  if (digest.starts_with(kPrefix)) {
    digest.remove_prefix(kPrefix.size());
  }
  return std::string{digest.substr(0, length)};
}

}  // namespace skerry::cli
