#include "skerry/cli/chat_input.hpp"

#include <algorithm>
#include <utility>

namespace skerry::cli {
namespace {

constexpr std::string_view kFence = R"(""")";
constexpr std::string_view kBlanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

bool is_command_name(std::string_view word) {
  return word == "?" || (!word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
           return c >= 'a' && c <= 'z';
         }));
}

// The command's name if the line is one.
std::optional<std::string> command_of(std::string_view line) {
  if (!line.starts_with('/')) {
    return std::nullopt;
  }
  const std::string_view word = line.substr(1, line.find_first_of(kBlanks) - 1);
  if (!is_command_name(word)) {
    return std::nullopt;
  }
  return std::string{word};
}

}  // namespace

void ChatInput::discard() {
  open_ = false;
  command_.clear();
  block_.clear();
}

std::optional<ChatEntry> ChatInput::take(std::string_view text) {
  std::optional<ChatEntry> entry;
  if (!command_.empty()) {
    entry = ChatCommand{command_, std::string{text}};
  } else if (!trimmed(text).empty()) {
    entry = ChatPrompt{std::string{text}};
  }
  discard();
  return entry;
}

Result<std::optional<ChatEntry>> ChatInput::feed(std::string_view line) {
  if (block_.size() + line.size() > kMostBytes) {
    discard();
    return Error{Error::Code::kTooLarge, "a prompt has at most 4 MiB; this one was given up"};
  }
  if (open_) {
    const std::string_view content = trimmed(line);
    if (!content.ends_with(kFence)) {
      block_.append(line).append("\n");
      return std::optional<ChatEntry>{};
    }
    block_.append(line.substr(0, line.rfind(kFence)));
    if (content == kFence && !block_.empty()) {
      // The line feed before a fence of its own belongs to the fence.
      block_.erase(block_.find_last_not_of(kBlanks) + 1);
      if (block_.ends_with('\n')) {
        block_.pop_back();
      }
    }
    const std::string text = std::move(block_);
    return take(text);
  }
  std::string_view rest = trimmed(line);
  if (rest.starts_with("//")) {
    return take(rest.substr(1));
  }
  if (const auto name = command_of(rest)) {
    command_ = *name;
    rest = trimmed(rest.substr(1 + name->size()));
  }
  if (!rest.starts_with(kFence)) {
    return take(rest);
  }
  const std::string_view inside = rest.substr(kFence.size());
  if (inside.ends_with(kFence)) {
    return take(inside.substr(0, inside.size() - kFence.size()));
  }
  open_ = true;
  if (!inside.empty()) {
    block_.append(inside).append("\n");
  }
  return std::optional<ChatEntry>{};
}

}  // namespace skerry::cli
