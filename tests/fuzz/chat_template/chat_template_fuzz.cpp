// A chat template, then after a NUL byte what a user says and, after another, a JSON array of
// tools: it ends in a prompt or an error, within its budget, and what is marked as the user's lies
// in it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/runtime/chat_template.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skerry::runtime;  // NOLINT(google-build-using-namespace): the one subject here
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const std::size_t cut = std::min(input.find('\0'), input.size());
  const std::string_view rest = input.substr(std::min(cut + 1, input.size()));
  const std::size_t second = std::min(rest.find('\0'), rest.size());
  TemplateLimits limits;
  limits.work = 50'000;
  limits.memory = 4U << 20U;
  limits.output = 1U << 20U;
  auto made = ChatTemplate::parse({std::string{input.substr(0, cut)}, "<s>", "</s>"}, limits);
  if (!made) {
    return 0;
  }
  PromptChat chat;
  chat.messages.push_back({"system", "s"});
  chat.messages.push_back({"user", std::string{rest.substr(0, second)}});
  ChatMessage called{"assistant", ""};
  called.tool_calls.push_back({"abcdefghi", "f", R"({"x": [1, {"y": "z"}]})"});
  chat.messages.push_back(std::move(called));
  chat.messages.push_back({"tool", "r"});
  chat.tools = std::string{rest.substr(std::min(second + 1, rest.size()))};
  const auto prompt = (*made)->render(chat);
  if (!prompt) {
    return 0;
  }
  std::size_t last = 0;
  for (const ChatText::Span& span : prompt->given) {
    if (span.begin < last || span.end <= span.begin || span.end > prompt->bytes.size()) {
      __builtin_trap();
    }
    last = span.end;
  }
  return 0;
}
