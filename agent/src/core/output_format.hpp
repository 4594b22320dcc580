#pragma once

// How clients ask for JSON and for log-probabilities, in the members that OpenAI, Ollama and
// Anthropic name differently and mean alike. Private to the agent's parsers and dialects.

#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/json_schema.hpp"
#include "skerry/agent/text_request.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::fields {

// A member {"type": "text" | "json_object" | "json_schema", …} whose schema lies in it at
// `schema_path`: what it asks for, nothing for text. `path` leads to the member in `document`, the
// body as it came: properties are written in that order, which Json does not keep.
struct FormatPlace {
  std::string_view document;
  std::vector<std::string_view> path;
  std::vector<std::string_view> schema_path;
};
Result<AnswerFormat> read_format(const Json& format, const FormatPlace& place);

// "logprobs": true and "top_logprobs": 0 to 20.
Result<void> read_log_probs(const Json& body, std::optional<std::uint32_t>& out);

// [{"token", "logprob", "bytes", "top_logprobs": […]}], as OpenAI's chat and Ollama write them.
Json log_probs_json(const std::vector<TextLogProb>& list);
// A token's text; "bytes:\xe2\x82" if it is part of a code point.
std::string token_text(std::string_view piece);
// At least -9999, which JSON can hold.
double written_log_prob(double log_prob);

}  // namespace skerry::agent::fields
