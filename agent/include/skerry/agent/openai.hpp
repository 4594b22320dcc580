#pragma once

// The OpenAI chat-completions dialect without HTTP: reads request bodies, writes response bodies
// and server-sent events. Used by the HTTP front end; a fuzz target feeds `parse_chat_request`.
// What the npm client `openai` checks is listed in docs/http.md.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/error.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::openai {

struct Limits {
  static constexpr std::size_t kMessages = 2048;
  static constexpr std::size_t kStops = 16;
  static constexpr std::size_t kStopBytes = 256;
  static constexpr std::size_t kDepth = 32;
};

struct ChatMessage {
  std::string role;
  std::string content;

  friend bool operator==(const ChatMessage&, const ChatMessage&) = default;
};

struct ChatRequest {
  std::string model;
  std::vector<ChatMessage> messages;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> frequency_penalty;
  std::optional<double> presence_penalty;
  std::optional<std::uint64_t> seed;
  std::uint32_t max_tokens = 0;
  std::vector<std::string> stop;
  bool stream = false;
  bool include_usage = false;
};

// kParse for a body that is not JSON, kInvalidArgument for one that is not a request; the message
// is "<parameter>: <problem>". What would change the answer and is not offered (tools, n > 1,
// response_format other than text …) is refused by name; unknown members are ignored, as clients
// expect.
Result<ChatRequest> parse_chat_request(std::string_view body, std::size_t max_bytes);

// "messages[0].role" of such a message; empty if there is none.
std::string param_of(const Error& error);

struct Usage {
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  std::uint32_t cached_tokens = 0;
};

// What is common to all parts of one answer.
struct Answer {
  std::string id;
  std::string model;
  std::int64_t created = 0;
  bool include_usage = false;
};

// The whole answer. `finish_reason` is "stop" or "length".
std::string completion_body(const Answer& answer,
                            std::string_view text,
                            std::string_view finish_reason,
                            const Usage& usage);

// Server-sent events, each "data: …\n\n". The role comes first, the finish reason always, usage (if
// asked for) in a chunk of its own with no choices, "[DONE]" at the end.
std::string role_event(const Answer& answer);
std::string text_event(const Answer& answer, std::string_view text);
std::string finish_event(const Answer& answer, std::string_view finish_reason);
std::string usage_event(const Answer& answer, const Usage& usage);
std::string error_event(const Error& error);
std::string_view done_event() noexcept;

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
