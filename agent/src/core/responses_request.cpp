// Bodies of OpenAI's /v1/responses.

#include <array>

#include "skerry/agent/openai_responses.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"
#include "request_fields.hpp"
#include "tool_fields.hpp"

namespace skerry::agent::openai {
namespace {

constexpr std::array<std::string_view, 2> kItemParts{"input_text", "output_text"};

// Calls stand beside messages here; those that follow each other are one message's.
Result<void> read_call(const Json& item, const std::string& where, std::vector<ChatMessage>& out) {
  CalledTool call;
  call.id = item.get_string("call_id").value_or("");
  call.name = item.get_string("name").value_or("");
  if (!is_tool_name(call.name)) {
    return fields::bad(where + ".name", "must be 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  const Json* given = fields::given(item, "arguments");
  Result<std::string> arguments = given == nullptr
                                      ? Result<std::string>{std::string{"{}"}}
                                      : fields::read_arguments(*given, where + ".arguments");
  if (!arguments) {
    return arguments.error();
  }
  call.arguments = *std::move(arguments);
  if (out.empty() || out.back().role != "assistant") {
    out.push_back(ChatMessage{"assistant", {}});
  }
  out.back().calls.push_back(std::move(call));
  return {};
}

Result<void> read_result(const Json& item,
                         const std::string& where,
                         std::vector<ChatMessage>& out) {
  ChatMessage result{"tool", {}};
  result.call_id = item.get_string("call_id").value_or("");
  for (const ChatMessage& message : out) {
    for (const CalledTool& call : message.calls) {
      result.name = call.id == result.call_id ? call.name : result.name;
    }
  }
  const Json* output = fields::given(item, "output");
  if (output == nullptr || result.call_id.empty()) {
    return fields::bad(where, "needs \"call_id\" and \"output\"");
  }
  Result<std::string> text = fields::read_parts(*output, where + ".output", kItemParts);
  if (!text) {
    return text.error();
  }
  result.content = *std::move(text);
  out.push_back(std::move(result));
  return {};
}

Result<void> read_item(const Json& item, const std::string& where, std::vector<ChatMessage>& out) {
  const std::string type = item.get_string("type").value_or("message");
  if (type == "function_call") {
    return read_call(item, where, out);
  }
  if (type == "function_call_output") {
    return read_result(item, where, out);
  }
  if (type == "reasoning") {
    return {};  // what the model thought of earlier turns is no longer needed
  }
  if (type != "message") {
    return fields::bad(where + ".type",
                       "only messages, calls of functions and their outputs are read");
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
  constexpr std::array<std::string_view, 2> kUnsupported{"prompt", "include"};
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

Result<void> read_text_format(const Json& body, std::string_view document, TextRequest& out) {
  const Json* text = fields::given(body, "text");
  const Json* format = text == nullptr ? nullptr : fields::given(*text, "format");
  if (format == nullptr) {
    return {};
  }
  Result<AnswerFormat> read =
      fields::read_format(*format, {document, {"text", "format"}, {"schema"}});
  if (!read) {
    return read.error();
  }
  out.grammar = std::move(read->grammar);
  out.response_format = std::move(read->response_format);
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
  if (Result<void> done = read_text_format(*json, body, request); !done) {
    return done.error();
  }
  const fields::ToolPlace place{.document = body, .wrapped = false};
  if (Result<void> done = fields::read_tools(*json, place, request.tools); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_tool_choice(*json, request.tools); !done) {
    return done.error();
  }
  if (const Json* reasoning = fields::given(*json, "reasoning")) {
    std::string effort;
    if (Result<void> done = fields::read_text(*reasoning, "effort", effort); !done) {
      return fields::bad("reasoning.effort", "must be a string");
    }
    if (!effort.empty()) {
      request.thinking = effort != "none" && effort != "minimal";
    }
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
