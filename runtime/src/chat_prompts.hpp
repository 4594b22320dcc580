#pragma once

// Turns a conversation into a model's tokens: its template's text, and control tokens only where
// the template wrote them, whatever callers put into their messages. One for each loaded model;
// made at the first chat. ADR 0111.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/chat_style.hpp"
#include "skerry/runtime/chat_template.hpp"
#include "skerry/runtime/step_engine.hpp"

#include "grammar_trigger.hpp"

namespace skerry::runtime {

struct ChatTokens {
  std::vector<std::int32_t> tokens;
  // The prompt ends where the model is to think: its answer begins with thoughts.
  bool thinking = false;
};

class ChatPrompts {
 public:
  // Control tokens and their texts.
  using Marks = std::map<std::int32_t, std::string>;

  static Result<std::unique_ptr<ChatPrompts>> make(StepEngine& engine, std::uint32_t vocabulary);

  // `without_thoughts`: a prompt that ends where the model is to think goes on to the answer
  // itself. kUnimplemented: the model's template cannot be read, and where; others as
  // ChatTemplate::render.
  Result<ChatTokens> tokens(StepEngine& engine,
                            const PromptChat& chat,
                            bool without_thoughts) const;

  // Control tokens whose text is part of an answer.
  [[nodiscard]] const Marks& shown() const { return shown_; }
  // Where an answer is to them when it begins; `thinking`: as ChatTokens has it.
  [[nodiscard]] Thoughts thoughts(bool thinking) const {
    return thinking ? Thoughts::kWithin : thinks_ ? Thoughts::kMayBegin : Thoughts::kNone;
  }

 private:
  Result<ChatText> render(StepEngine& engine, const PromptChat& chat) const;
  Result<std::vector<std::int32_t>> tokenize(StepEngine& engine, const ChatText& prompt) const;

  std::shared_ptr<const ChatTemplate> template_;
  std::optional<Error> unreadable_;
  bool thinks_ = false;
  std::vector<std::string> controls_;  // texts of all control tokens, by length, the longest first
  Marks shown_;
  std::string begin_;  // what the tokenizer puts before each text
};

// Where control tokens are in a text: those that the caller made, wholly or in part, are `given`.
// `controls`: the longest first.
struct ControlPlace {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool given = false;
  friend bool operator==(const ControlPlace&, const ControlPlace&) = default;
};
std::vector<ControlPlace> find_controls(const ChatText& text,
                                        const std::vector<std::string>& controls);

}  // namespace skerry::runtime
