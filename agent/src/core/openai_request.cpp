// Bodies of OpenAI's chat completions, completions and embeddings.

#include <array>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"
#include "request_fields.hpp"
#include "tool_fields.hpp"

namespace skerry::agent::openai {
namespace {

using fields::bad;
using fields::given;

constexpr std::array<std::string_view, 1> kChatParts{"text"};

Result<ChatMessage> read_message(const Json& message,
                                 const std::string& role,
                                 const std::string& where) {
  if (role != "system" && role != "user" && role != "assistant" && role != "tool") {
    return bad(where + ".role",
               "must be \"system\", \"developer\", \"user\", \"assistant\" or \"tool\", not \"" +
                   role + "\"");
  }
  ChatMessage out{role, {}};
  if (Result<void> done = fields::read_calls(message, where, out); !done) {
    return done.error();
  }
  // The name under which other servers, and this one, tell thoughts.
  if (Result<void> done = fields::read_text(message, "reasoning_content", out.reasoning); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_text(message, "tool_call_id", out.call_id); !done) {
    return done.error();
  }
  if (role == "tool") {
    if (Result<void> done = fields::read_text(message, "name", out.name); !done) {
      return done.error();
    }
  }
  const Json* content = given(message, "content");
  if (content == nullptr) {
    return out.calls.empty() ? Result<ChatMessage>{bad(where + ".content", "is missing")}
                             : Result<ChatMessage>{std::move(out)};
  }
  Result<std::string> text = fields::read_parts(*content, where + ".content", kChatParts);
  if (!text) {
    return text.error();
  }
  out.content = *std::move(text);
  return out;
}

Result<void> read_messages(const Json& body, std::vector<ChatMessage>& out) {
  const Json* list = given(body, "messages");
  if (list == nullptr || list->array() == nullptr || list->array()->empty()) {
    return bad("messages", "must be an array with at least one message");
  }
  if (list->array()->size() > TextLimits::kMessages) {
    return bad("messages", "at most " + std::to_string(TextLimits::kMessages) + " are taken");
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
    Result<ChatMessage> read = read_message(message, *role, where);
    if (!read) {
      return read.error();
    }
    out.push_back(*std::move(read));
  }
  return {};
}

// Members that would change the answer if they were taken.
Result<void> refuse_unsupported(const Json& body) {
  constexpr std::array<std::string_view, 4> kUnsupported{
      "functions", "logit_bias", "audio", "prediction"};
  return fields::refuse(body, kUnsupported);
}

Result<void> read_response_format(const Json& body, std::string_view document, TextRequest& out) {
  const Json* format = given(body, "response_format");
  if (format == nullptr) {
    return {};
  }
  Result<AnswerFormat> read =
      fields::read_format(*format, {document, {"response_format"}, {"json_schema", "schema"}});
  if (!read) {
    return read.error();
  }
  out.grammar = std::move(read->grammar);
  out.response_format = std::move(read->response_format);
  return {};
}

// In the older call a number: how many most probable tokens to tell, 0 for the chosen one alone.
Result<void> read_completion_log_probs(const Json& body, OpenAiText& request) {
  constexpr std::int64_t kMost = 5;
  if (given(body, "logprobs") == nullptr) {
    return {};
  }
  std::int64_t top = 0;
  if (Result<void> done = fields::read_int(body, "logprobs", 0, kMost, top); !done) {
    return done;
  }
  if (request.echo) {
    return bad("logprobs", "is offered without \"echo\": the prompt's are not told");
  }
  request.text.log_probs = static_cast<std::uint32_t>(top);
  return {};
}

Result<void> read_sampling(const Json& body, TextSampling& sampling) {
  if (auto done = fields::read_number(body, "temperature", 0, 2, sampling.temperature); !done) {
    return done;
  }
  if (auto done = fields::read_number(body, "top_p", 0, 1, sampling.top_p); !done) {
    return done;
  }
  if (auto done = fields::read_number(body, "frequency_penalty", -2, 2, sampling.frequency_penalty);
      !done) {
    return done;
  }
  if (auto done = fields::read_number(body, "presence_penalty", -2, 2, sampling.presence_penalty);
      !done) {
    return done;
  }
  return fields::read_seed(body, sampling.seed);
}

Result<void> read_streaming(const Json& body, OpenAiText& request) {
  if (Result<void> done = fields::read_flag(body, "stream", request.text.stream); !done) {
    return done;
  }
  const Json* options = given(body, "stream_options");
  if (options == nullptr) {
    return {};
  }
  if (!options->is_object()) {
    return bad("stream_options", "must be an object");
  }
  return fields::read_flag(*options, "include_usage", request.include_usage);
}

// How many answers each prompt gets; all of a body together are bounded.
Result<void> read_answers(const Json& body, TextRequest& request) {
  std::int64_t answers = 1;
  const auto most = static_cast<std::int64_t>(TextLimits::kChoices);
  if (Result<void> done = fields::read_int(body, "n", 1, most, answers); !done) {
    return done;
  }
  if (request.prompts.size() * static_cast<std::size_t>(answers) > TextLimits::kChoices) {
    return bad("n", "at most " + std::to_string(most) + " answers are given to one request");
  }
  request.answers = static_cast<std::uint32_t>(answers);
  return {};
}

// What both calls have in common.
Result<void> read_common(const Json& body, std::string_view document, OpenAiText& request) {
  Result<std::string> model = fields::read_model(body);
  if (!model) {
    return model.error();
  }
  request.text.model = *std::move(model);
  if (Result<void> done = refuse_unsupported(body); !done) {
    return done;
  }
  if (Result<void> done = read_response_format(body, document, request.text); !done) {
    return done;
  }
  if (Result<void> done = read_sampling(body, request.text.sampling); !done) {
    return done;
  }
  if (Result<void> done = fields::read_count(body, "max_tokens", request.text.max_tokens); !done) {
    return done;
  }
  if (Result<void> done = fields::read_stop(body, "stop", request.text.stop); !done) {
    return done;
  }
  return read_streaming(body, request);
}

bool holds_numbers(const Json& value) {
  return value.array() != nullptr && !value.array()->empty() && value.array()->front().is_number();
}

// A text or an array of tokens, or an array of either; at most `most`.
Result<std::vector<EmbedInput>> read_inputs(const Json& body,
                                            const std::string& key,
                                            std::size_t most) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return bad(key, "is missing");
  }
  std::vector<EmbedInput> inputs;
  if (const std::string* text = value->string()) {
    inputs.emplace_back(*text);
    return inputs;
  }
  if (holds_numbers(*value)) {
    Result<std::vector<std::int32_t>> tokens = fields::read_tokens(*value, key);
    if (!tokens) {
      return tokens.error();
    }
    inputs.emplace_back(*std::move(tokens));
    return inputs;
  }
  const Json::Array* list = value->array();
  if (list == nullptr || list->empty() || list->size() > most) {
    return bad(key,
               "must be a string, an array of tokens, or an array of 1 to " + std::to_string(most) +
                   " of these");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (const std::string* text = (*list)[i].string()) {
      inputs.emplace_back(*text);
      continue;
    }
    Result<std::vector<std::int32_t>> tokens =
        fields::read_tokens((*list)[i], key + "[" + std::to_string(i) + "]");
    if (!tokens) {
      return tokens.error();
    }
    inputs.emplace_back(*std::move(tokens));
  }
  return inputs;
}

}  // namespace

namespace {

Result<void> read_tool_use(const Json& body, std::string_view document, TextRequest& request) {
  if (Result<void> done = fields::read_tools(body, {.document = document}, request.tools); !done) {
    return done;
  }
  if (Result<void> done = fields::read_tool_choice(body, request.tools); !done) {
    return done;
  }
  // Models can think or not; how much is theirs.
  std::string effort;
  if (Result<void> done = fields::read_text(body, "reasoning_effort", effort); !done) {
    return done;
  }
  if (!effort.empty()) {
    request.thinking = effort != "none" && effort != "minimal";
  }
  const Json* arguments = given(body, "chat_template_kwargs");
  const Json* thinking = arguments == nullptr ? nullptr : given(*arguments, "enable_thinking");
  if (thinking != nullptr) {
    bool enabled = false;
    if (Result<void> done = fields::read_flag(*arguments, "enable_thinking", enabled); !done) {
      return bad("chat_template_kwargs.enable_thinking", "must be true or false");
    }
    request.thinking = enabled;
  }
  return {};
}

}  // namespace

Result<OpenAiText> parse_chat_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OpenAiText request;
  if (Result<void> done = read_common(*json, body, request); !done) {
    return done.error();
  }
  std::uint32_t& most = request.text.max_tokens;
  if (Result<void> done = fields::read_count(*json, "max_completion_tokens", most); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_log_probs(*json, request.text.log_probs); !done) {
    return done.error();
  }
  if (Result<void> done = read_tool_use(*json, body, request.text); !done) {
    return done.error();
  }
  std::vector<ChatMessage> messages;
  if (Result<void> done = read_messages(*json, messages); !done) {
    return done.error();
  }
  request.text.prompts.emplace_back(std::move(messages));
  if (Result<void> done = read_answers(*json, request.text); !done) {
    return done.error();
  }
  return request;
}

Result<OpenAiText> parse_completion_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OpenAiText request;
  // OpenAI's default for this call.
  request.text.max_tokens = 16;
  if (Result<void> done = read_common(*json, body, request); !done) {
    return done.error();
  }
  if (fields::asked(*json, "suffix")) {
    return bad("suffix", "is not offered by this server");
  }
  Result<std::vector<EmbedInput>> prompts = read_inputs(*json, "prompt", TextLimits::kChoices);
  if (!prompts) {
    return prompts.error();
  }
  if (Result<void> done = fields::read_flag(*json, "echo", request.echo); !done) {
    return done.error();
  }
  if (Result<void> done = read_completion_log_probs(*json, request); !done) {
    return done.error();
  }
  for (EmbedInput& prompt : *prompts) {
    if (auto* tokens = std::get_if<std::vector<std::int32_t>>(&prompt)) {
      if (request.echo) {
        return bad("echo", "is offered for prompts that are text only");
      }
      request.text.prompts.emplace_back(std::move(*tokens));
    } else {
      request.text.prompts.emplace_back(std::get<std::string>(std::move(prompt)));
    }
  }
  if (Result<void> done = read_answers(*json, request.text); !done) {
    return done.error();
  }
  std::int64_t best_of = request.text.answers;
  if (Result<void> done = fields::read_int(*json, "best_of", best_of, best_of, best_of); !done) {
    return bad("best_of", "is not offered by this server");
  }
  return request;
}

Result<EmbeddingsRequest> parse_embeddings_request(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  EmbeddingsRequest request;
  Result<std::string> model = fields::read_model(*json);
  if (!model) {
    return model.error();
  }
  request.model = *std::move(model);
  Result<std::vector<EmbedInput>> inputs = read_inputs(*json, "input", TextLimits::kTexts);
  if (!inputs) {
    return inputs.error();
  }
  request.inputs = *std::move(inputs);
  std::string format{"float"};
  if (Result<void> done = fields::read_text(*json, "encoding_format", format); !done) {
    return done.error();
  }
  if (format != "float" && format != "base64") {
    return bad("encoding_format", "must be \"float\" or \"base64\"");
  }
  request.base64 = format == "base64";
  std::uint32_t dimensions = 0;
  if (Result<void> done = fields::read_count(*json, "dimensions", dimensions); !done) {
    return done.error();
  }
  if (dimensions > 0) {
    request.dimensions = dimensions;
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
