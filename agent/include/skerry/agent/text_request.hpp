#pragma once

// What an HTTP dialect asks of a text model, and how it is told the answer. Every dialect's parser
// makes a `TextRequest`; every dialect writes its answers as a `TextDialect`; one function between
// them (agent/src/http/text_call.cpp) does the rest. Plain values and strings: no sockets.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "skerry/agent/tool_calls.hpp"
#include "skerry/common/error.hpp"

namespace skerry::agent {

struct TextLimits {
  static constexpr std::size_t kMessages = 2048;
  static constexpr std::size_t kStops = 16;
  static constexpr std::size_t kStopBytes = 256;
  // Prompts of one body times answers for each.
  static constexpr std::size_t kChoices = 16;
  static constexpr std::size_t kTokens = 1U << 18U;
  static constexpr std::size_t kTexts = 1024;
};

// A call that an assistant's message made, and its arguments as JSON.
struct CalledTool {
  std::string id;
  std::string name;
  std::string arguments;

  friend bool operator==(const CalledTool&, const CalledTool&) = default;
};

struct ChatMessage {
  std::string role;  // "system", "user", "assistant", "tool"
  std::string content;
  std::string reasoning{};
  std::vector<CalledTool> calls{};
  // Of a tool's result.
  std::string call_id{};
  std::string name{};

  friend bool operator==(const ChatMessage&, const ChatMessage&) = default;
};

// Text, the model's own tokens, or a chat that the model's template renders.
using TextPrompt = std::variant<std::string, std::vector<std::int32_t>, std::vector<ChatMessage>>;

// 0 (top_k, min_p), 1 (top_p, repeat_penalty) and 0 (penalties) switch off.
struct TextSampling {
  double temperature = 1;
  double top_p = 1;
  double min_p = 0;
  std::uint32_t top_k = 0;
  double repeat_penalty = 1;
  std::uint32_t repeat_last = 64;
  double frequency_penalty = 0;
  double presence_penalty = 0;
  std::optional<std::uint64_t> seed;

  friend bool operator==(const TextSampling&, const TextSampling&) = default;
};

struct TextRequest {
  std::string model;
  // At least one.
  std::vector<TextPrompt> prompts;
  // Answers for each prompt; choice i answers prompt i / answers.
  std::uint32_t answers = 1;
  TextSampling sampling;
  // 0: until the model ends or its context is full.
  std::uint32_t max_tokens = 0;
  std::vector<std::string> stop;
  // GBNF that each answer follows; empty: none. The same as OpenAI's `response_format`, if it was
  // asked for in such words.
  std::string grammar;
  std::string response_format{};
  // For chats.
  ToolUse tools;
  // Whether the model is to think, where it can choose; none: as its template does by itself.
  std::optional<bool> thinking;
  // Tell log-probabilities, and those of so many most probable tokens; none: do not.
  std::optional<std::uint32_t> log_probs;
  bool stream = false;
};

// Known when the first choice starts.
struct TextStart {
  std::string model;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
};

// How one choice ended: by itself, at max_tokens or the end of the context, or before a stop
// string.
struct TextEnd {
  bool length = false;
  std::string stop_match;
  bool called = false;  // with calls of tools
};

// A token of an answer with its natural log-probability, before penalties, temperature and grammar.
struct TextLogProb {
  struct Choice {
    std::string piece;  // bytes, possibly part of a code point
    double log_prob = 0;
  };
  Choice chosen;
  std::vector<Choice> top;  // most probable first
};

struct TextChoice {
  std::string text;
  TextEnd end;
  std::vector<TextLogProb> log_probs;  // of each token, if they were asked for
  std::string reasoning;               // what the model thought before
  std::vector<CalledTool> calls;
};

// Of all choices; a prompt that has several answers counts once. The times are the longest of any.
struct TextTotals {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::chrono::nanoseconds load{0};
  std::chrono::nanoseconds prefill{0};
  std::chrono::nanoseconds decode{0};
  std::chrono::nanoseconds total{0};
};

// Writes one answer in one dialect. Streamed: begin, then any number of delta and one ended per
// choice, then end; or failed instead of the rest. Whole: `whole` alone. What is returned goes to
// the client as it is.
class TextDialect {
 public:
  virtual ~TextDialect() = default;
  // Content type of a stream.
  [[nodiscard]] virtual std::string_view stream_type() const = 0;
  virtual std::string begin(const TextStart& start) = 0;
  virtual std::string delta(std::size_t choice, std::string_view text) = 0;
  // The same with log-probabilities, which a dialect that offers them writes.
  virtual std::string delta_with(std::size_t choice,
                                 std::string_view text,
                                 const std::vector<TextLogProb>& log_probs) {
    return log_probs.empty() || !text.empty() ? delta(choice, text) : std::string{};
  }
  // What else an answer may have, in the order in which it comes; a dialect that has no place for
  // it leaves it out. Calls are numbered from 0; a call's arguments follow it in pieces.
  virtual std::string reasoning(std::size_t, std::string_view) { return {}; }
  virtual std::string call(std::size_t, std::size_t, const CalledTool&) { return {}; }
  virtual std::string arguments(std::size_t, std::size_t, std::string_view) { return {}; }
  virtual std::string ended(std::size_t choice, const TextEnd& end) = 0;
  virtual std::string end(const TextTotals& totals) = 0;
  virtual std::string failed(const Error& error) = 0;
  virtual std::string whole(const TextStart& start,
                            const std::vector<TextChoice>& choices,
                            const TextTotals& totals) = 0;
};

inline constexpr std::string_view kServerSentEvents = "text/event-stream; charset=utf-8";

}  // namespace skerry::agent
