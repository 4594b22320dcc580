#include <array>
#include <cmath>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

Error bad(std::string_view param, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, std::string{param} + ": " + std::string{problem}};
}

// Absent and null mean the same to OpenAI's clients.
const Json* given(const Json& body, std::string_view key) {
  const Json* value = body.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<void> read_number(
    const Json& body, std::string_view key, double low, double high, std::optional<double>& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  Result<double> number = value->as_number();
  if (!number || !std::isfinite(*number) || *number < low || *number > high) {
    return bad(key,
               "must be a number from " + std::to_string(static_cast<int>(low)) + " to " +
                   std::to_string(static_cast<int>(high)));
  }
  out = *number;
  return {};
}

Result<void> read_count(const Json& body, std::string_view key, std::uint32_t& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  Result<std::int64_t> number = value->as_int();
  if (!number || *number < 1 || *number > (1 << 24)) {
    return bad(key, "must be a whole number from 1 to 16777216");
  }
  out = static_cast<std::uint32_t>(*number);
  return {};
}

Result<void> read_flag(const Json& body, std::string_view key, bool& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_bool()) {
    return bad(key, "must be true or false");
  }
  out = *body.get_bool(key);
  return {};
}

// A message's content is a string, or parts of which every one is text.
Result<std::string> read_content(const Json& content, const std::string& where) {
  if (const std::string* text = content.string()) {
    return *text;
  }
  const Json::Array* parts = content.array();
  if (parts == nullptr) {
    return bad(where, "must be a string or an array of parts");
  }
  std::string text;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string part = where + "[" + std::to_string(i) + "]";
    Result<std::string> type = (*parts)[i].get_string("type");
    if (!type) {
      return bad(part + ".type", "must be a string");
    }
    if (*type != "text") {
      return bad(part + ".type", "this model reads text only, not \"" + *type + "\"");
    }
    Result<std::string> piece = (*parts)[i].get_string("text");
    if (!piece) {
      return bad(part + ".text", "must be a string");
    }
    text += *piece;
  }
  return text;
}

Result<void> read_messages(const Json& body, std::vector<ChatMessage>& out) {
  const Json* list = given(body, "messages");
  if (list == nullptr || list->array() == nullptr || list->array()->empty()) {
    return bad("messages", "must be an array with at least one message");
  }
  if (list->array()->size() > Limits::kMessages) {
    return bad("messages", "at most " + std::to_string(Limits::kMessages) + " are taken");
  }
  for (std::size_t i = 0; i < list->array()->size(); ++i) {
    const Json& message = (*list->array())[i];
    const std::string where = "messages[" + std::to_string(i) + "]";
    Result<std::string> role = message.get_string("role");
    if (!role) {
      return bad(where + ".role", "must be a string");
    }
    if (*role == "developer") {
      role = std::string{"system"};
    }
    if (*role != "system" && *role != "user" && *role != "assistant") {
      return bad(
          where + ".role",
          "must be \"system\", \"developer\", \"user\" or \"assistant\", not \"" + *role + "\"");
    }
    if (given(message, "tool_calls") != nullptr) {
      return bad(where + ".tool_calls", "tools are not offered");
    }
    const Json* content = given(message, "content");
    if (content == nullptr) {
      return bad(where + ".content", "is missing");
    }
    Result<std::string> text = read_content(*content, where + ".content");
    if (!text) {
      return text.error();
    }
    out.push_back(ChatMessage{*role, *std::move(text)});
  }
  return {};
}

Result<void> read_stop(const Json& body, std::vector<std::string>& out) {
  const Json* value = given(body, "stop");
  if (value == nullptr) {
    return {};
  }
  if (const std::string* one = value->string()) {
    out.push_back(*one);
  } else if (const Json::Array* list = value->array()) {
    for (const Json& entry : *list) {
      if (entry.string() == nullptr) {
        return bad("stop", "must hold strings");
      }
      out.push_back(*entry.string());
    }
  } else {
    return bad("stop", "must be a string or an array of strings");
  }
  if (out.size() > Limits::kStops) {
    return bad("stop", "at most " + std::to_string(Limits::kStops) + " are taken");
  }
  for (const std::string& entry : out) {
    if (entry.empty() || entry.size() > Limits::kStopBytes) {
      return bad("stop", "each must have 1 to " + std::to_string(Limits::kStopBytes) + " bytes");
    }
  }
  return {};
}

// Members that would change the answer if they were taken.
Result<void> refuse_unsupported(const Json& body) {
  constexpr std::array kUnsupported{std::string_view{"tools"},
                                    std::string_view{"functions"},
                                    std::string_view{"logit_bias"},
                                    std::string_view{"audio"},
                                    std::string_view{"prediction"}};
  for (const std::string_view key : kUnsupported) {
    const Json* value = given(body, key);
    const bool empty =
        value != nullptr && ((value->array() != nullptr && value->array()->empty()) ||
                             (value->object() != nullptr && value->object()->empty()));
    if (value != nullptr && !empty) {
      return bad(key, "is not offered by this server");
    }
  }
  if (const Json* n = given(body, "n"); n != nullptr) {
    Result<std::int64_t> count = n->as_int();
    if (!count || *count != 1) {
      return bad("n", "only one choice is offered");
    }
  }
  if (const Json* logprobs = given(body, "logprobs"); logprobs != nullptr) {
    if (!logprobs->is_bool() || *body.get_bool("logprobs")) {
      return bad("logprobs", "is not offered by this server");
    }
  }
  if (const Json* format = given(body, "response_format"); format != nullptr) {
    Result<std::string> type = format->get_string("type");
    if (!type || *type != "text") {
      return bad("response_format", "only {\"type\": \"text\"} is offered");
    }
  }
  return {};
}

Result<void> read_seed(const Json& body, std::optional<std::uint64_t>& out) {
  const Json* value = given(body, "seed");
  if (value == nullptr) {
    return {};
  }
  Result<std::int64_t> seed = value->as_int();
  if (!seed) {
    return bad("seed", "must be a whole number");
  }
  out = static_cast<std::uint64_t>(*seed);
  return {};
}

Result<void> read_sampling(const Json& body, ChatRequest& request) {
  if (Result<void> done = read_number(body, "temperature", 0, 2, request.temperature); !done) {
    return done;
  }
  if (Result<void> done = read_number(body, "top_p", 0, 1, request.top_p); !done) {
    return done;
  }
  if (Result<void> done = read_number(body, "frequency_penalty", -2, 2, request.frequency_penalty);
      !done) {
    return done;
  }
  if (Result<void> done = read_number(body, "presence_penalty", -2, 2, request.presence_penalty);
      !done) {
    return done;
  }
  if (Result<void> done = read_seed(body, request.seed); !done) {
    return done;
  }
  if (Result<void> done = read_count(body, "max_tokens", request.max_tokens); !done) {
    return done;
  }
  return read_count(body, "max_completion_tokens", request.max_tokens);
}

Result<void> read_streaming(const Json& body, ChatRequest& request) {
  if (Result<void> done = read_flag(body, "stream", request.stream); !done) {
    return done;
  }
  const Json* options = given(body, "stream_options");
  if (options == nullptr) {
    return {};
  }
  if (!options->is_object()) {
    return bad("stream_options", "must be an object");
  }
  return read_flag(*options, "include_usage", request.include_usage);
}

}  // namespace

Result<ChatRequest> parse_chat_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = Json::parse(body, JsonLimits{max_bytes, Limits::kDepth});
  if (!json) {
    return json.error();
  }
  if (!json->is_object()) {
    return Error{Error::Code::kParse, "the body must be a JSON object"};
  }
  ChatRequest request;
  Result<std::string> model = json->get_string("model");
  if (!model || model->empty()) {
    return bad("model", "must name a slot or a model");
  }
  request.model = *std::move(model);
  if (Result<void> done = refuse_unsupported(*json); !done) {
    return done.error();
  }
  if (Result<void> done = read_messages(*json, request.messages); !done) {
    return done.error();
  }
  if (Result<void> done = read_sampling(*json, request); !done) {
    return done.error();
  }
  if (Result<void> done = read_stop(*json, request.stop); !done) {
    return done.error();
  }
  if (Result<void> done = read_streaming(*json, request); !done) {
    return done.error();
  }
  return request;
}

std::string param_of(const Error& error) {
  if (error.code() != Error::Code::kInvalidArgument) {
    return {};
  }
  const std::size_t colon = error.message().find(": ");
  if (colon == std::string::npos || colon > 128 ||
      error.message().substr(0, colon).find(' ') != std::string::npos) {
    return {};
  }
  return error.message().substr(0, colon);
}

}  // namespace skerry::agent::openai
