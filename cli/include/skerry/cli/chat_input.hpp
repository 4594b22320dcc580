#pragma once

// What the lines that somebody types into `skerry run` mean: a prompt, a prompt of several lines
// between """ and """, or a command that begins with a slash. Pure; `Chat` feeds it.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "skerry/common/result.hpp"

namespace skerry::cli {

struct ChatPrompt {
  std::string text;
  friend bool operator==(const ChatPrompt&, const ChatPrompt&) = default;
};

// "/set temperature 0.2" is {"set", "temperature 0.2"}.
struct ChatCommand {
  std::string name;
  std::string argument;
  friend bool operator==(const ChatCommand&, const ChatCommand&) = default;
};

using ChatEntry = std::variant<ChatPrompt, ChatCommand>;

class ChatInput {
 public:
  static constexpr std::size_t kMostBytes = 4U << 20U;

  // What the line completes: nothing for an empty line and inside """. A line that begins with "//"
  // is a prompt that begins with a slash, and so is one whose first word is no command's name
  // ("/etc/hosts is empty"). The argument of a command may be a """ block too. kTooLarge: the block
  // is given up.
  Result<std::optional<ChatEntry>> feed(std::string_view line);
  // A """ block waits for its end.
  [[nodiscard]] bool open() const { return open_; }
  // Gives the open block up.
  void discard();

 private:
  std::optional<ChatEntry> take(std::string_view text);

  bool open_ = false;
  // The command whose argument the block is; empty: a prompt.
  std::string command_;
  std::string block_;
};

}  // namespace skerry::cli
