#pragma once

// A chat as it stands: the model, the system message, the turns so far, how to answer. What `/save`
// writes and `/load` reads (docs/formats/chat.md).

#include <string>
#include <string_view>
#include <vector>

#include "skerry/cli/chat_settings.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

struct ChatTurn {
  bool by_model = false;
  std::string text;
  friend bool operator==(const ChatTurn&, const ChatTurn&) = default;
};

struct ChatTranscript {
  static constexpr std::size_t kMostBytes = 16U << 20U;
  static constexpr std::size_t kMostTurns = 10'000;

  std::string model;
  std::string system;
  std::vector<ChatTurn> turns;
  ChatSettings settings;

  // The document of docs/formats/chat.md, with a line feed at its end.
  [[nodiscard]] std::string to_text() const;
  // kParse, kTooLarge or kInvalidArgument; the message names the place.
  static Result<ChatTranscript> from_text(std::string_view text);

  friend bool operator==(const ChatTranscript&, const ChatTranscript&) = default;
};

}  // namespace skerry::cli
