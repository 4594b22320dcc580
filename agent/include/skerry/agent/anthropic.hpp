#pragma once

// Anthropic's Messages API without HTTP: reads request bodies, writes messages, their event streams
// and errors. Used by the HTTP front end; a fuzz target feeds the parser. What the npm client
// `@anthropic-ai/sdk` checks is listed in docs/http.md.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/openai.hpp"
#include "skerry/agent/text_request.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::anthropic {

// As for OpenAI: tools, thinking and content that is not text are refused by name; metadata,
// service_tier and cache_control are ignored.
Result<TextRequest> parse_messages_request(std::string_view body, std::size_t max_bytes);
// The same body without max_tokens, whose prompt is to be counted.
Result<TextRequest> parse_count_request(std::string_view body, std::size_t max_bytes);

// Events: message_start, content_block_start, ping, content_block_delta …, content_block_stop,
// message_delta, message_stop; or error.
std::unique_ptr<TextDialect> make_message_dialect(std::string id);

std::string count_body(std::size_t tokens);
// {"type":"error","error":{"type","message"},"request_id"}
std::string error_body(const Error& error, std::string_view request_id);
// Anthropic's listing of the same models.
std::string model_body(const openai::ModelEntry& model);
std::string model_list_body(const std::vector<openai::ModelEntry>& models);

}  // namespace skerry::agent::anthropic
