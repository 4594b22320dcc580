// Bodies of Anthropic's /v1/messages and /v1/messages/count_tokens.

#include <array>

#include "skerry/agent/anthropic.hpp"
#include "skerry/common/json.hpp"

#include "anthropic_turns.hpp"
#include "output_format.hpp"
#include "request_fields.hpp"

namespace skerry::agent::anthropic {
namespace {

constexpr std::array<std::string_view, 1> kBlocks{"text"};

Result<void> read_system(const Json& body, std::vector<ChatMessage>& out) {
  const Json* system = fields::given(body, "system");
  if (system == nullptr) {
    return {};
  }
  Result<std::string> text = fields::read_parts(*system, "system", kBlocks);
  if (!text) {
    return text.error();
  }
  if (!text->empty()) {
    out.push_back(ChatMessage{"system", *std::move(text)});
  }
  return {};
}

Result<void> read_turns(const Json& body, std::vector<ChatMessage>& out) {
  const Json* list = fields::given(body, "messages");
  if (list == nullptr || list->array() == nullptr || list->array()->empty()) {
    return fields::bad("messages", "must be an array with at least one message");
  }
  if (list->array()->size() > TextLimits::kMessages) {
    return fields::bad("messages",
                       "at most " + std::to_string(TextLimits::kMessages) + " are taken");
  }
  for (std::size_t i = 0; i < list->array()->size(); ++i) {
    const std::string where = "messages[" + std::to_string(i) + "]";
    if (Result<void> done = read_turn((*list->array())[i], where, out); !done) {
      return done;
    }
  }
  // The template would end that turn and open another, which is not what is asked.
  if (out.back().role == "assistant") {
    return fields::bad("messages", "the last one must be the user's: prefilling is not offered");
  }
  return {};
}

Result<void> refuse_features(const Json& body) {
  constexpr std::array<std::string_view, 3> kUnsupported{
      "mcp_servers", "container", "output_format"};
  return fields::refuse(body, kUnsupported);
}

// output_config.format, which has schemas only; effort is a hint.
Result<void> read_output_config(const Json& body, std::string_view document, TextRequest& out) {
  const Json* config = fields::given(body, "output_config");
  const Json* format = config == nullptr ? nullptr : fields::given(*config, "format");
  if (format == nullptr) {
    return {};
  }
  if (format->get_string("type").value_or("") != "json_schema") {
    return fields::bad("output_config.format.type", "must be \"json_schema\"");
  }
  Result<AnswerFormat> read =
      fields::read_format(*format, {document, {"output_config", "format"}, {"schema"}});
  if (!read) {
    return read.error();
  }
  out.grammar = std::move(read->grammar);
  out.response_format = std::move(read->response_format);
  return {};
}

Result<TextRequest> read_prompt(const Json& body, std::string_view document) {
  TextRequest request;
  Result<std::string> model = fields::read_model(body);
  if (!model) {
    return model.error();
  }
  request.model = *std::move(model);
  if (Result<void> done = refuse_features(body); !done) {
    return done.error();
  }
  if (Result<void> done = read_tool_use(body, document, request); !done) {
    return done.error();
  }
  std::vector<ChatMessage> messages;
  if (Result<void> done = read_system(body, messages); !done) {
    return done.error();
  }
  if (Result<void> done = read_turns(body, messages); !done) {
    return done.error();
  }
  request.prompts.emplace_back(std::move(messages));
  return request;
}

}  // namespace

Result<TextRequest> parse_messages_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  Result<TextRequest> request = read_prompt(*json, body);
  if (!request) {
    return request;
  }
  if (Result<void> done = fields::read_count(*json, "max_tokens", request->max_tokens); !done) {
    return done.error();
  }
  if (request->max_tokens == 0) {
    return fields::bad("max_tokens", "is missing");
  }
  if (Result<void> done = read_output_config(*json, body, *request); !done) {
    return done.error();
  }
  TextSampling& sampling = request->sampling;
  if (auto done = fields::read_number(*json, "temperature", 0, 1, sampling.temperature); !done) {
    return done.error();
  }
  if (auto done = fields::read_number(*json, "top_p", 0, 1, sampling.top_p); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_count(*json, "top_k", sampling.top_k); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_stop(*json, "stop_sequences", request->stop); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_flag(*json, "stream", request->stream); !done) {
    return done.error();
  }
  return request;
}

Result<TextRequest> parse_count_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  return read_prompt(*json, body);
}

}  // namespace skerry::agent::anthropic
