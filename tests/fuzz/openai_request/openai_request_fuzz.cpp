// Bodies of POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses and
// /v1/rerank, and what is answered to a bad one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/http_text.hpp"
#include "skerry/agent/openai.hpp"
#include "skerry/agent/openai_responses.hpp"
#include "skerry/agent/rerank.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace openai = skerry::agent::openai;
  constexpr std::size_t kMost = 1U << 20U;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  namespace rerank = skerry::agent::rerank;
  if (const auto request = rerank::parse(text, kMost); request) {
    rerank::Answer answer;
    answer.relevances.assign(request->documents.size(), 0.5F);
    rerank::answer_body(*request, answer);
  }
  auto chat = openai::parse_chat_request(text, kMost);
  if (!chat) {
    openai::error_body(chat.error());
  } else {
    openai::make_chat_dialect(*chat, {})->delta(0, chat->text.model);
  }
  if (auto completion = openai::parse_completion_request(text, kMost); completion) {
    openai::make_completion_dialect(*completion, {})->begin({});
  }
  if (auto embed = openai::parse_embeddings_request(text, kMost); !embed) {
    openai::param_of(embed.error());
  }
  if (auto response = openai::parse_responses_request(text, kMost); response) {
    openai::make_responses_dialect(*response, "1", 0)->begin({});
  }
  if (auto path = skerry::agent::percent_decode(text); path) {
    skerry::agent::host_allowed(*path, {"example"});
    skerry::agent::origin_allowed(*path, {"example"});
  }
  return 0;
}
