// Bodies of OpenAI's /v1/responses.

#include <array>

#include "skerry/agent/openai_responses.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"
#include "request_fields.hpp"

namespace skerry::agent::openai {
namespace {

constexpr std::array<std::string_view, 2> kItemParts{"input_text", "output_text"};

Result<void> read_item(const Json& item, const std::string& where, std::vector<ChatMessage>& out) {
  if (item.get_string("type").value_or("message") != "message") {
    return fields::bad(where + ".type", "only messages are read");
  }
  Result<std::string> role = item.get_string("role");
  if (role && *role == "developer") {
    role = std::string{"system"};
  }
  if (!role || (*role != "system" && *role != "user" && *role != "assistant")) {
    return fields::bad(where + ".role",
                       "must be \"system\", \"developer\", \"user\" or \"assistant\"");
  }
  const Json* content = fields::given(item, "content");
  if (content == nullptr) {
    return fields::bad(where + ".content", "is missing");
  }
  Result<std::string> text = fields::read_parts(*content, where + ".content", kItemParts);
  if (!text) {
    return text.error();
  }
  out.push_back(ChatMessage{*role, *std::move(text)});
  return {};
}

Result<void> read_input(const Json& body, std::vector<ChatMessage>& out) {
  const Json* input = fields::given(body, "input");
  if (input != nullptr && input->string() != nullptr) {
    out.push_back(ChatMessage{"user", *input->string()});
    return {};
  }
  const Json::Array* list = input == nullptr ? nullptr : input->array();
  if (list == nullptr || list->empty() || list->size() > TextLimits::kMessages) {
    return fields::bad("input",
                       "must be a string or an array of 1 to " +
                           std::to_string(TextLimits::kMessages) + " messages");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string where = "input[" + std::to_string(i) + "]";
    if (Result<void> done = read_item((*list)[i], where, out); !done) {
      return done;
    }
  }
  return {};
}

Result<void> refuse_stored(const Json& body) {
  constexpr std::array<std::string_view, 4> kStored{
      "store", "previous_response_id", "conversation", "background"};
  for (const std::string_view key : kStored) {
    if (fields::asked(body, key)) {
      return fields::bad(key, "nothing is stored here: send the whole conversation each time");
    }
  }
  constexpr std::array<std::string_view, 3> kUnsupported{"tools", "prompt", "include"};
  if (Result<void> done = fields::refuse(body, kUnsupported); !done) {
    return done;
  }
  std::string truncation{"disabled"};
  if (Result<void> done = fields::read_text(body, "truncation", truncation); !done) {
    return done;
  }
  if (truncation != "disabled") {
    return fields::bad("truncation", "nothing is cut silently: only \"disabled\" is offered");
  }
  return {};
}

Result<void> read_text_format(const Json& body, std::string_view document, std::string& grammar) {
  const Json* text = fields::given(body, "text");
  const Json* format = text == nullptr ? nullptr : fields::given(*text, "format");
  if (format == nullptr) {
    return {};
  }
  Result<std::string> read =
      fields::read_format(*format, {document, {"text", "format"}, {"schema"}});
  if (!read) {
    return read.error();
  }
  grammar = *std::move(read);
  return {};
}

}  // namespace

Result<TextRequest> parse_responses_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  TextRequest request;
  Result<std::string> model = fields::read_model(*json);
  if (!model) {
    return model.error();
  }
  request.model = *std::move(model);
  if (Result<void> done = refuse_stored(*json); !done) {
    return done.error();
  }
  if (Result<void> done = read_text_format(*json, body, request.grammar); !done) {
    return done.error();
  }
  std::vector<ChatMessage> messages;
  std::string instructions;
  if (Result<void> done = fields::read_text(*json, "instructions", instructions); !done) {
    return done.error();
  }
  if (!instructions.empty()) {
    messages.push_back(ChatMessage{"system", std::move(instructions)});
  }
  if (Result<void> done = read_input(*json, messages); !done) {
    return done.error();
  }
  request.prompts.emplace_back(std::move(messages));
  TextSampling& sampling = request.sampling;
  if (auto done = fields::read_number(*json, "temperature", 0, 2, sampling.temperature); !done) {
    return done.error();
  }
  if (auto done = fields::read_number(*json, "top_p", 0, 1, sampling.top_p); !done) {
    return done.error();
  }
  if (auto done = fields::read_count(*json, "max_output_tokens", request.max_tokens); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_flag(*json, "stream", request.stream); !done) {
    return done.error();
  }
  return request;
}

}  // namespace skerry::agent::openai
