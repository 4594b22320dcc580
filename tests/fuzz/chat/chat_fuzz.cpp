// What comes from outside into `skerry run`. Saved chats: any bytes are refused or read, and what
// is read is written and read again as the same. Lines: no sequence of them makes an empty prompt.
// Answers: whatever a model writes, nothing reaches a terminal that it would act on, however the
// text is cut.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/cli/chat_input.hpp"
#include "skerry/cli/chat_transcript.hpp"
#include "skerry/cli/terminal_text.hpp"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void read_saved(std::string_view text) {
  const auto chat = skerry::cli::ChatTranscript::from_text(text);
  if (!chat) {
    return;
  }
  const auto again = skerry::cli::ChatTranscript::from_text(chat->to_text());
  require(again && *again == *chat);
}

void feed_lines(std::string_view text) {
  skerry::cli::ChatInput input;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto entry = input.feed(text.substr(0, end));
    if (entry && *entry) {
      const auto* prompt = std::get_if<skerry::cli::ChatPrompt>(&**entry);
      require(prompt == nullptr || !prompt->text.empty());
      require(!input.open());
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool harmless(std::string_view shown) {
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto byte = static_cast<unsigned char>(shown[i]);
    const bool control = (byte < 0x20U && byte != '\n' && byte != '\t') || byte == 0x7FU;
    const bool c1 =
        byte == 0xC2U && i + 1 < shown.size() && static_cast<unsigned char>(shown[i + 1]) < 0xA0U;
    if (control || c1) {
      return false;
    }
  }
  return true;
}

void show(std::string_view text) {
  skerry::cli::TerminalText whole;
  std::string at_once = whole.clean(text);
  at_once += whole.finish();
  skerry::cli::TerminalText bytewise;
  std::string in_pieces;
  for (const char c : text) {
    in_pieces += bytewise.clean(std::string_view{&c, 1});
  }
  in_pieces += bytewise.finish();
  require(harmless(at_once));
  require(at_once == in_pieces);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_saved(text);
  feed_lines(text);
  show(text);
  return 0;
}
