#pragma once

// How a model writes what is not its answer's text: calls of tools, and what it thinks before it
// answers. Read from its chat template by the worker, told to the daemon with the model's other
// facts, which makes grammars and reads answers by it (skerry/agent/tool_calls.hpp). Plain values.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::runtime {

// Values go over the wire.
enum class ToolSyntax : std::uint8_t {
  kNone = 0,     // the template takes no tools
  kUnknown = 1,  // it takes tools, and calls are written in a way that is not known here
  kHermes = 2,  // <tool_call>{"name": …, "arguments": {…}}</tool_call>…: Qwen, Hermes, SmolLM
  kLlama = 3,   // {"name": …, "parameters": {…}} and nothing else: Llama 3
  kMistral = 4,  // [TOOL_CALLS][{"name": …, "arguments": {…}, "id": "…"}, …]
  kList = 5,     // <|tool_call|>[{"name": …, "arguments": {…}}, …]: Granite, Phi 4
  kDeepSeek = 6,  // <｜tool▁calls▁begin｜>…function<｜tool▁sep｜>name, then a block of JSON
  kServer = 7  // another server answers, takes tools as they are and tells calls apart (ChatPart)
};
// Of what a worker may tell.
inline constexpr std::uint32_t kLastToolSyntax = 6;

std::string_view to_string(ToolSyntax syntax) noexcept;

struct ChatStyle {
  ToolSyntax tools = ToolSyntax::kNone;
  // The model thinks between <think> and </think> before it answers.
  bool thinks = false;

  friend bool operator==(const ChatStyle&, const ChatStyle&) = default;
};

ChatStyle read_chat_style(std::string_view chat_template);

// Texts that are part of an answer in this style even where the vocabulary has them as control
// tokens, which are otherwise left out.
std::vector<std::string> marks_of(const ChatStyle& style);

}  // namespace skerry::runtime
