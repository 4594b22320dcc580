#include "skerry/cli/prompt_history.hpp"

#include <algorithm>

namespace skerry::cli {

bool PromptHistory::remember(std::string_view line) {
  const bool control = std::any_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20U || byte == 0x7FU;
  });
  if (line.empty() || control || line.size() > kLongestLine ||
      (!lines_.empty() && lines_.back() == line)) {
    return false;
  }
  lines_.emplace_back(line);
  bytes_ += line.size() + 1;
  while (lines_.size() > kMostLines || bytes_ > kMostBytes) {
    bytes_ -= lines_.front().size() + 1;
    lines_.pop_front();
  }
  return true;
}

Result<void> PromptHistory::load() {
  if (file_.empty()) {
    return {};
  }
  const auto text = read_file(fs_, file_, kMostBytes);
  if (!text) {
    if (text.error().code() == Error::Code::kNotFound) {
      return {};
    }
    return text.error();
  }
  for (std::string_view rest{*text}; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    remember(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

Result<bool> PromptHistory::add(std::string_view line) {
  if (!remember(line)) {
    return false;
  }
  if (file_.empty()) {
    return true;
  }
  // Another chat may have added lines meanwhile, and its owner may have removed the file.
  PromptHistory on_disk{fs_, file_};
  const bool read = on_disk.load().has_value();
  on_disk.remember(line);
  std::string text;
  for (const std::string& one : read ? on_disk.lines_ : lines_) {
    text.append(one).append("\n");
  }
  constexpr std::uint32_t kPrivateFolder = 0700;
  constexpr std::uint32_t kPrivateFile = 0600;
  if (auto made = fs_.create_directories(file_.parent_path(), kPrivateFolder); !made) {
    return made.error();
  }
  if (auto written = write_file_atomic(fs_, file_, text, kPrivateFile); !written) {
    return written.error();
  }
  return true;
}

}  // namespace skerry::cli
