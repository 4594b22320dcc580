// Bodies of POST /v1/messages and /v1/messages/count_tokens, and what is answered to a bad one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/anthropic.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace anthropic = skerry::agent::anthropic;
  constexpr std::size_t kMost = 1U << 20U;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  auto request = anthropic::parse_messages_request(text, kMost);
  if (!request) {
    anthropic::error_body(request.error(), "req-1");
  } else {
    anthropic::make_message_dialect("msg_1")->delta(0, request->model);
  }
  if (auto count = anthropic::parse_count_request(text, kMost); !count) {
    anthropic::error_body(count.error(), {});
  }
  return 0;
}
