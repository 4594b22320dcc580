// Bodies of Ollama's API.

#include <array>
#include <charconv>
#include <cmath>

#include "skerry/agent/json_schema.hpp"
#include "skerry/agent/ollama.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"
#include "request_fields.hpp"
#include "tool_fields.hpp"

namespace skerry::agent::ollama {
namespace {

constexpr double kForever = -1;

// "5m", "1h30m", "-1", "0": Go's durations; a bare number is seconds.
std::optional<double> duration_seconds(std::string_view text) {
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  double total = 0;
  if (text.empty()) {
    return std::nullopt;
  }
  while (!text.empty()) {
    double number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc{} || !std::isfinite(number) || number < 0) {
      return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
    constexpr std::array<std::pair<std::string_view, double>, 6> kUnits{
        {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}}};
    double scale = text.empty() ? 1 : 0;
    for (const auto& [unit, seconds] : kUnits) {
      const bool longer = unit == "m" && text.starts_with("ms");
      if (text.starts_with(unit) && !longer) {
        scale = seconds;
        text.remove_prefix(unit.size());
        break;
      }
    }
    if (scale == 0) {
      return std::nullopt;
    }
    total += number * scale;
  }
  return negative && total > 0 ? kForever : total;
}

Result<void> read_keep_alive(const Json& body, bool& unload) {
  const Json* value = fields::given(body, "keep_alive");
  if (value == nullptr) {
    return {};
  }
  std::optional<double> seconds;
  if (const std::string* text = value->string()) {
    seconds = duration_seconds(*text);
  } else if (Result<double> number = value->as_number(); number && std::isfinite(*number)) {
    seconds = *number;
  }
  if (!seconds) {
    return fields::bad("keep_alive", "must be a duration (\"5m\") or a number of seconds");
  }
  unload = *seconds == 0;
  return {};
}

// Options that change the answer and are not offered, with the value that changes nothing.
Result<void> refuse_options(const Json& options) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kNeutral{
      {{"mirostat", 0}, {"typical_p", 1}, {"tfs_z", 1}, {"draft_num_predict", 0}}};
  for (const auto& [key, neutral] : kNeutral) {
    double value = neutral;
    if (Result<void> done = fields::read_number(options, key, -1e9, 1e9, value); !done) {
      return done;
    }
    if (value != neutral) {
      return fields::bad("options." + std::string{key}, "is not offered by this server");
    }
  }
  return {};
}

Result<void> read_numbers(const Json& options, TextSampling& sampling) {
  struct Number {
    std::string_view key;
    double low;
    double high;
    double* out;
  };
  const std::array<Number, 6> numbers{{{"temperature", 0, 100, &sampling.temperature},
                                       {"top_p", 0, 1, &sampling.top_p},
                                       {"min_p", 0, 1, &sampling.min_p},
                                       {"repeat_penalty", 0, 10, &sampling.repeat_penalty},
                                       {"frequency_penalty", -2, 2, &sampling.frequency_penalty},
                                       {"presence_penalty", -2, 2, &sampling.presence_penalty}}};
  for (const Number& one : numbers) {
    if (Result<void> done = fields::read_number(options, one.key, one.low, one.high, *one.out);
        !done) {
      return done;
    }
  }
  return fields::read_seed(options, sampling.seed);
}

Result<void> read_options(const Json& body, TextRequest& request) {
  // Ollama's defaults, which its users expect.
  request.sampling.temperature = 0.8;
  request.sampling.top_k = 40;
  request.sampling.top_p = 0.9;
  request.sampling.repeat_penalty = 1.1;
  const Json* options = fields::given(body, "options");
  if (options == nullptr) {
    return {};
  }
  if (!options->is_object()) {
    return fields::bad("options", "must be an object");
  }
  if (Result<void> done = refuse_options(*options); !done) {
    return done;
  }
  if (Result<void> done = read_numbers(*options, request.sampling); !done) {
    return done;
  }
  constexpr std::int64_t kMost = 1 << 24;
  std::int64_t top_k = request.sampling.top_k;
  std::int64_t repeat_last = request.sampling.repeat_last;
  // -1 and -2: until the model ends, or its context is full; nothing is ever shifted out of it.
  std::int64_t most = 0;
  if (Result<void> done = fields::read_int(*options, "top_k", 0, kMost, top_k); !done) {
    return done;
  }
  if (Result<void> done = fields::read_int(*options, "repeat_last_n", 0, kMost, repeat_last);
      !done) {
    return done;
  }
  if (Result<void> done = fields::read_int(*options, "num_predict", -2, kMost, most); !done) {
    return done;
  }
  request.sampling.top_k = static_cast<std::uint32_t>(top_k);
  request.sampling.repeat_last = static_cast<std::uint32_t>(repeat_last);
  request.max_tokens = static_cast<std::uint32_t>(most < 0 ? 0 : most);
  return fields::read_stop(*options, "stop", request.stop);
}

Result<std::string> read_name(const Json& body) {
  for (const std::string_view key : {"model", "name"}) {
    std::string name;
    if (Result<void> done = fields::read_text(body, key, name); !done) {
      return done.error();
    }
    if (!name.empty()) {
      return reference_of(name);
    }
  }
  return fields::bad("model", "must name a slot or a model");
}

// "json", or a schema.
Result<void> read_ollama_format(const Json& body, std::string_view document, TextRequest& out) {
  const Json* format = fields::given(body, "format");
  if (format == nullptr || (format->string() != nullptr && format->string()->empty())) {
    return {};
  }
  const bool any = format->string() != nullptr && *format->string() == "json";
  if (!any && !format->is_object()) {
    return fields::bad("format", "must be \"json\" or a JSON schema");
  }
  Result<AnswerFormat> read =
      any ? json_object_format() : schema_format(member_text(document, {"format"}), "format");
  if (!read) {
    return read.error();
  }
  out.grammar = std::move(read->grammar);
  out.response_format = std::move(read->response_format);
  return {};
}

// Whether to think; how much is the model's.
Result<void> read_think(const Json& body, std::optional<bool>& out) {
  const Json* think = fields::given(body, "think");
  if (think == nullptr) {
    return {};
  }
  const std::string* level = think->string();
  if (level != nullptr && (*level == "low" || *level == "medium" || *level == "high")) {
    out = true;
    return {};
  }
  bool flag = false;
  if (level != nullptr || !fields::read_flag(body, "think", flag)) {
    return fields::bad("think", "must be true, false, \"low\", \"medium\" or \"high\"");
  }
  out = flag;
  return {};
}

// What generate and chat have in common.
Result<void> read_shared(const Json& body, std::string_view document, OllamaText& out) {
  Result<std::string> model = read_name(body);
  if (!model) {
    return model.error();
  }
  out.text.model = *std::move(model);
  constexpr std::array<std::string_view, 4> kUnsupported{"images", "suffix", "template", "context"};
  if (Result<void> done = fields::refuse(body, kUnsupported); !done) {
    return done;
  }
  if (Result<void> done = read_think(body, out.text.thinking); !done) {
    return done;
  }
  if (Result<void> done = read_ollama_format(body, document, out.text); !done) {
    return done;
  }
  if (Result<void> done = fields::read_log_probs(body, out.text.log_probs); !done) {
    return done;
  }
  if (Result<void> done = read_options(body, out.text); !done) {
    return done;
  }
  if (Result<void> done = read_keep_alive(body, out.unload); !done) {
    return done;
  }
  out.text.stream = true;
  return fields::read_flag(body, "stream", out.text.stream);
}

Result<void> read_turn(const Json& message,
                       const std::string& where,
                       std::vector<ChatMessage>& out) {
  Result<std::string> role = message.get_string("role");
  if (!role || (*role != "system" && *role != "user" && *role != "assistant" && *role != "tool")) {
    return fields::bad(where + ".role", "must be \"system\", \"user\", \"assistant\" or \"tool\"");
  }
  if (fields::asked(message, "images")) {
    return fields::bad(where + ".images", "is not offered by this server");
  }
  ChatMessage turn{*role, {}};
  if (Result<void> done = fields::read_calls(message, where, turn); !done) {
    return done;
  }
  if (Result<void> done = fields::read_text(message, "thinking", turn.reasoning); !done) {
    return done;
  }
  // Ollama tells results by the tool's name; newer clients also by the call.
  if (Result<void> done = fields::read_text(message, "tool_name", turn.name); !done) {
    return done;
  }
  if (Result<void> done = fields::read_text(message, "tool_call_id", turn.call_id); !done) {
    return done;
  }
  const Json* content = fields::given(message, "content");
  if (content == nullptr ? turn.calls.empty() : content->string() == nullptr) {
    return fields::bad(where + ".content", "must be a string");
  }
  turn.content = content == nullptr ? std::string{} : *content->string();
  out.push_back(std::move(turn));
  return {};
}

}  // namespace

std::string reference_of(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) {
    name.remove_suffix(kLatest.size());
  }
  return std::string{name};
}

Result<OllamaText> parse_generate(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OllamaText out;
  if (Result<void> done = read_shared(*json, body, out); !done) {
    return done.error();
  }
  std::string prompt;
  std::string system;
  bool raw = false;
  if (Result<void> done = fields::read_text(*json, "prompt", prompt); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_text(*json, "system", system); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_flag(*json, "raw", raw); !done) {
    return done.error();
  }
  if (raw && !system.empty()) {
    return fields::bad("system", "a raw prompt takes no system message");
  }
  if (fields::asked(*json, "tools")) {
    return fields::bad("tools", "are offered by /api/chat");
  }
  out.empty = prompt.empty();
  if (raw) {
    out.text.prompts.emplace_back(std::move(prompt));
    return out;
  }
  std::vector<ChatMessage> messages;
  if (!system.empty()) {
    messages.push_back(ChatMessage{"system", std::move(system)});
  }
  messages.push_back(ChatMessage{"user", std::move(prompt)});
  out.text.prompts.emplace_back(std::move(messages));
  return out;
}

Result<OllamaText> parse_chat(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OllamaText out;
  if (Result<void> done = read_shared(*json, body, out); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_tools(*json, {.document = body}, out.text.tools); !done) {
    return done.error();
  }
  std::vector<ChatMessage> messages;
  if (const Json* list = fields::given(*json, "messages"); list != nullptr) {
    if (list->array() == nullptr || list->array()->size() > TextLimits::kMessages) {
      return fields::bad("messages",
                         "must be an array of at most " + std::to_string(TextLimits::kMessages));
    }
    for (std::size_t i = 0; i < list->array()->size(); ++i) {
      const std::string where = "messages[" + std::to_string(i) + "]";
      if (Result<void> done = read_turn((*list->array())[i], where, messages); !done) {
        return done.error();
      }
    }
  }
  out.empty = messages.empty();
  out.text.prompts.emplace_back(std::move(messages));
  return out;
}

Result<OllamaEmbed> parse_embed(std::string_view body, std::size_t max_bytes, bool legacy) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OllamaEmbed out;
  Result<std::string> model = read_name(*json);
  if (!model) {
    return model.error();
  }
  out.model = *std::move(model);
  if (fields::asked(*json, "dimensions")) {
    return fields::bad("dimensions", "is not offered by this server");
  }
  if (Result<void> done = read_keep_alive(*json, out.unload); !done) {
    return done.error();
  }
  const std::string key = legacy ? "prompt" : "input";
  const Json* input = fields::given(*json, key);
  if (input != nullptr && input->string() != nullptr) {
    out.inputs.push_back(*input->string());
    return out;
  }
  const Json::Array* list = input == nullptr || legacy ? nullptr : input->array();
  if (list == nullptr || list->empty() || list->size() > TextLimits::kTexts) {
    return fields::bad(key,
                       legacy ? "must be a string"
                              : "must be a string or an array of 1 to " +
                                    std::to_string(TextLimits::kTexts) + " strings");
  }
  for (const Json& entry : *list) {
    if (entry.string() == nullptr) {
      return fields::bad(key, "must hold strings");
    }
    out.inputs.push_back(*entry.string());
  }
  return out;
}

Result<OllamaName> parse_name(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  OllamaName out;
  Result<std::string> model = read_name(*json);
  if (!model) {
    return model.error();
  }
  out.model = *std::move(model);
  if (Result<void> done = fields::read_flag(*json, "stream", out.stream); !done) {
    return done.error();
  }
  return out;
}

}  // namespace skerry::agent::ollama
