#pragma once

// Reads a model's answer as it comes: takes thoughts and calls of tools out of the text. Fed by the
// service layer, for models whose chat template says that they think or call. What does not read as
// a call stays text: nothing of an answer is lost. Pure; a fuzz target feeds it.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/tool_calls.hpp"

namespace skerry::agent {

struct AnswerPart {
  enum class Kind : std::uint8_t { kText, kReasoning, kCall, kArguments };
  Kind kind = Kind::kText;
  // Text, thoughts, or the next piece of a call's arguments, which are JSON.
  std::string text;
  std::size_t call = 0;  // which one, of kCall and kArguments
  std::string id;        // of kCall
  std::string name;

  friend bool operator==(const AnswerPart&, const AnswerPart&) = default;
};

class CallReader;

class ChatReader {
 public:
  struct Options {
    bool thinks = false;                 // thoughts stand between <think> and </think>
    bool thinking = false;               // the answer begins within them
    const CallSyntax* syntax = nullptr;  // calls are looked for
    bool called = false;                 // the answer begins after the syntax's mark
    std::vector<std::string> names;      // whom it may call; a call of another is text
    std::function<std::string()> make_id;
  };
  explicit ChatReader(Options options);
  ~ChatReader();
  ChatReader(const ChatReader&) = delete;
  ChatReader& operator=(const ChatReader&) = delete;

  // The answer begins with thoughts; before the first `push`.
  void begin_thinking() { state_ = State::kThoughts; }
  std::vector<AnswerPart> push(std::string_view text);
  // What was held back because it might have become a mark.
  std::vector<AnswerPart> finish();
  [[nodiscard]] bool thinking() const { return state_ == State::kThoughts; }

 private:
  enum class State : std::uint8_t { kStart, kThoughts, kAfterThoughts, kText, kCalls };

  // Each takes what it can of `held_`; false if it needs more.
  bool read_start();
  bool read_thoughts();
  bool read_text();
  bool read_calls();
  void add(AnswerPart::Kind kind, std::string_view text);
  // `marked`: the answer said the mark itself.
  void begin_calls(bool marked);
  // What was taken for a call and is none, mark and all.
  void add_untold();
  // Bytes at the end of `held_` that may be the beginning of `mark`.
  [[nodiscard]] std::size_t may_begin(std::string_view mark) const;

  Options options_;
  State state_ = State::kStart;
  std::string held_;
  bool ending_ = false;
  bool blank_ = true;    // no text yet but white space
  bool marked_ = false;  // calls_ began with a mark
  std::unique_ptr<CallReader> calls_;
  std::vector<AnswerPart> parts_;
};

}  // namespace skerry::agent
