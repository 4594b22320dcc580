#pragma once

// OpenAI's chat completions, completions and embeddings without HTTP: reads request bodies, writes
// response bodies and server-sent events. Used by the HTTP front end; a fuzz target feeds the
// parsers. What the npm client `openai` checks is listed in docs/http.md.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::openai {

// A text request and what only OpenAI's answers know.
struct OpenAiText {
  TextRequest text;
  bool include_usage = false;
  // Completions: the answer begins with the prompt.
  bool echo = false;
};

// kParse for a body that is not JSON, kInvalidArgument for one that is not a request; the message
// is "<parameter>: <problem>". What would change the answer and is not offered (tools, logit_bias
// …) is refused by name; unknown members are ignored, as clients expect.
Result<OpenAiText> parse_chat_request(std::string_view body, std::size_t max_bytes);
Result<OpenAiText> parse_completion_request(std::string_view body, std::size_t max_bytes);

// A text, or one as the model's own tokens.
using EmbedInput = std::variant<std::string, std::vector<std::int32_t>>;
struct EmbeddingsRequest {
  std::string model;
  std::vector<EmbedInput> inputs;
  bool base64 = false;
  // What the client wants each vector to have; none: the model's own.
  std::optional<std::uint32_t> dimensions;
};
Result<EmbeddingsRequest> parse_embeddings_request(std::string_view body, std::size_t max_bytes);

// "messages[0].role" of such a message; empty if there is none.
std::string param_of(const Error& error);

// What is common to all parts of one answer.
struct Answer {
  std::string id;
  std::string model;
  std::int64_t created = 0;
};

// The role comes first, the finish reason always, usage (if asked for) in a chunk of its own with
// no choices, "[DONE]" at the end.
std::unique_ptr<TextDialect> make_chat_dialect(const OpenAiText& request, Answer answer);
std::unique_ptr<TextDialect> make_completion_dialect(const OpenAiText& request, Answer answer);

// Floats as decimal numbers, or as base64 of little-endian float32.
std::string embeddings_body(const std::string& model,
                            const std::vector<std::vector<float>>& vectors,
                            bool base64,
                            std::uint32_t prompt_tokens);
// "[0.5,-1]", each as short as it can be read back.
std::string float_list(const std::vector<float>& values);

struct ModelEntry {
  std::string id;
  std::int64_t created = 0;
  std::string owned_by;
};
std::string model_list_body(const std::vector<ModelEntry>& models);
std::string model_body(const ModelEntry& model);

// {"error": {"message", "type", "param", "code"}}
std::string error_body(const Error& error);

// How an error is answered over HTTP: one table for every HTTP front end.
struct HttpError {
  int status = 500;
  // Seconds for `retry-after`; 0: no header.
  int retry_after = 0;
  // False adds `x-should-retry: false`, so that clients do not repeat what cannot succeed.
  bool retryable = false;
  std::string_view type;
};
HttpError http_error(Error::Code code) noexcept;

}  // namespace skerry::agent::openai
