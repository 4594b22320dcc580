#pragma once

// OpenAI's Responses API without HTTP, as far as it is true here: text in, text out, nothing kept.
// What needs state on the server (store, previous_response_id, conversations, background) is
// refused by name. Used by the HTTP front end; a fuzz target feeds the parser.

#include <memory>
#include <string>
#include <string_view>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::openai {

Result<TextRequest> parse_responses_request(std::string_view body, std::size_t max_bytes);

// Events, each with a sequence number: response.created, .in_progress, .output_item.added,
// .content_part.added, .output_text.delta …, .output_text.done, .content_part.done,
// .output_item.done, .completed (.incomplete at the token limit, .failed).
std::unique_ptr<TextDialect> make_responses_dialect(const TextRequest& request,
                                                    std::string_view id,
                                                    std::int64_t created);

}  // namespace skerry::agent::openai
