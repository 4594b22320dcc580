#pragma once

// The lines typed into `skerry run`, kept from one chat to the next: one per line, oldest first, in
// a file that only its owner may read. The line editor recalls them.

#include <deque>
#include <filesystem>
#include <string>
#include <string_view>

#include "skerry/common/file_system.hpp"

namespace skerry::cli {

class PromptHistory {
 public:
  static constexpr std::size_t kMostLines = 1000;
  static constexpr std::size_t kMostBytes = 1U << 20U;
  // Longer lines are not kept.
  static constexpr std::size_t kLongestLine = 16U << 10U;

  // An empty path keeps nothing on disk.
  PromptHistory(FileSystem& fs, std::filesystem::path file) : fs_(fs), file_(std::move(file)) {}

  // Reads the file; none is an empty history. Lines with control characters are left out.
  Result<void> load();
  // Remembers the line and adds it to what the file holds now, which other chats write too; an
  // empty line and a repetition of the last one are not kept. True if it was kept.
  Result<bool> add(std::string_view line);

  [[nodiscard]] const std::deque<std::string>& lines() const { return lines_; }

 private:
  bool remember(std::string_view line);

  FileSystem& fs_;
  std::filesystem::path file_;
  std::deque<std::string> lines_;
  std::size_t bytes_ = 0;
};

}  // namespace skerry::cli
