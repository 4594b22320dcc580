#pragma once

// Reads calls of tools, byte by byte, after the mark that begins them: JSON objects with a name and
// arguments, alone or in a list, or DeepSeek's code blocks. Private to chat_reader.cpp.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/chat_reader.hpp"

namespace skerry::agent {

class CallReader {
 public:
  // `syntax` and `names` outlive it.
  CallReader(const CallSyntax& syntax,
             const std::vector<std::string>& names,
             std::function<std::string()> make_id,
             std::size_t first)
      : syntax_(syntax), names_(names), make_id_(std::move(make_id)), first_(first), call_(first) {}

  // Takes a byte. False: it belongs to no call; `rest` is what was taken and not told.
  bool take(char c, std::vector<AnswerPart>& out);
  // What was taken since the last call that was told, with it.
  [[nodiscard]] const std::string& rest() const { return raw_; }
  // The call in hand was told already.
  [[nodiscard]] bool told() const { return told_; }
  // Calls that were told, also those of readers before this one.
  [[nodiscard]] std::size_t calls() const { return call_; }
  // This reader told one.
  [[nodiscard]] bool any() const { return call_ != first_; }
  // Between two calls, or after the last.
  [[nodiscard]] bool between() const { return state_ == State::kBetween; }

 private:
  enum class State : std::uint8_t {
    kBetween,    // a call, or the end
    kKey,        // a member's name, or the end of the object
    kColon,      // after a name
    kValue,      // before a value
    kText,       // in a string that is kept
    kArguments,  // in the arguments
    kSkipped,    // in another value
    kAfter,      // after a value
    kFence,      // DeepSeek's call
  };

  bool take_between(char c);
  // A mark between calls was read.
  void pass(std::string_view mark);
  // A call's end was read: it is no text, whatever follows.
  void forget();
  bool take_member(char c, std::vector<AnswerPart>& out);
  bool take_string(char c);
  // Counts brackets and strings of a value; true while the byte is part of it.
  bool within_value(char c);
  bool take_value(char c, std::vector<AnswerPart>& out);
  bool take_fence(char c, std::vector<AnswerPart>& out);
  [[nodiscard]] bool may_call() const;
  void tell(std::vector<AnswerPart>& out);
  void end_call(std::vector<AnswerPart>& out);
  void argue(char c, std::vector<AnswerPart>& out);

  const CallSyntax& syntax_;
  const std::vector<std::string>& names_;
  std::function<std::string()> make_id_;
  std::size_t first_;
  std::size_t call_;
  State state_ = State::kBetween;
  std::string raw_;   // since the last call
  std::string word_;  // the string in hand
  std::string key_;   // the member in hand
  std::string name_;
  std::string arguments_;  // before the call is told
  bool told_ = false;
  bool closed_ = false;  // DeepSeek's list of calls ended
  bool keyed_ = false;   // the string in hand is a member's name
  bool escaped_ = false;
  bool quoted_ = false;
  std::size_t depth_ = 0;
};

}  // namespace skerry::agent
