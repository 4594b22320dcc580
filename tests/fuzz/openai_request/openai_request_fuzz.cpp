// Bodies of POST /v1/chat/completions, and what is answered to a bad one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/http_text.hpp"
#include "skerry/agent/openai.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  auto request = skerry::agent::openai::parse_chat_request(text, 1U << 20U);
  if (!request) {
    skerry::agent::openai::error_body(request.error());
  } else {
    skerry::agent::openai::text_event({}, request->messages.front().content);
  }
  if (auto path = skerry::agent::percent_decode(text); path) {
    skerry::agent::host_allowed(*path, {"example"});
    skerry::agent::origin_allowed(*path, {"example"});
  }
  return 0;
}
