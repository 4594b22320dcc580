// Answers of Ollama's API.

#include <utility>

#include "skerry/agent/ollama.hpp"
#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"

namespace skerry::agent::ollama {
namespace {

std::string line_of(Json::Object object) {
  return Json{std::move(object)}.dump() + "\n";
}

class OllamaDialect final : public TextDialect {
 public:
  OllamaDialect(WallTime now, bool chat) : created_(to_rfc3339(now)), chat_(chat) {}

  [[nodiscard]] std::string_view stream_type() const override { return kLines; }

  std::string begin(const TextStart& start) override {
    model_ = start.model;
    return {};
  }

  std::string delta(std::size_t choice, std::string_view text) override {
    return delta_with(choice, text, {});
  }

  std::string delta_with(std::size_t,
                         std::string_view text,
                         const std::vector<TextLogProb>& log_probs) override {
    std::string lines = calls_line();
    Json::Object object = envelope(text);
    object.emplace("done", Json{false});
    if (!log_probs.empty()) {
      object.emplace("logprobs", fields::log_probs_json(log_probs));
    }
    return lines + line_of(std::move(object));
  }

  std::string reasoning(std::size_t, std::string_view text) override {
    std::string lines = calls_line();
    Json::Object object = envelope("", text);
    object.emplace("done", Json{false});
    return lines + line_of(std::move(object));
  }

  // Ollama tells calls whole: each waits for its arguments.
  std::string call(std::size_t, std::size_t, const CalledTool& call) override {
    std::string lines = calls_line();
    called_.push_back(call);
    return lines;
  }

  std::string arguments(std::size_t, std::size_t, std::string_view text) override {
    if (!called_.empty()) {
      called_.back().arguments += text;
    }
    return {};
  }

  std::string ended(std::size_t, const TextEnd& end) override {
    end_ = end;
    return calls_line();
  }

  std::string end(const TextTotals& totals) override { return line_of(last("", totals)); }

  std::string failed(const Error& error) override { return error_line(error); }

  std::string whole(const TextStart& start,
                    const std::vector<TextChoice>& choices,
                    const TextTotals& totals) override {
    model_ = start.model;
    end_ = choices.front().end;
    Json::Object object =
        last(choices.front().text, totals, choices.front().reasoning, choices.front().calls);
    if (!choices.front().log_probs.empty()) {
      object.emplace("logprobs", fields::log_probs_json(choices.front().log_probs));
    }
    return Json{std::move(object)}.dump();
  }

 private:
  [[nodiscard]] static Json calls_json(const std::vector<CalledTool>& calls) {
    Json::Array list;
    for (const CalledTool& call : calls) {
      Result<Json> arguments = Json::parse(call.arguments.empty() ? "{}" : call.arguments);
      Json::Object function;
      function.emplace("name", Json{call.name});
      function.emplace("arguments", arguments ? *std::move(arguments) : Json{Json::Object{}});
      Json::Object object;
      object.emplace("id", Json{call.id});
      object.emplace("function", Json{std::move(function)});
      list.emplace_back(std::move(object));
    }
    return Json{std::move(list)};
  }

  std::string calls_line() {
    if (called_.empty()) {
      return {};
    }
    Json::Object object = envelope("", "", std::exchange(called_, {}));
    object.emplace("done", Json{false});
    return line_of(std::move(object));
  }

  [[nodiscard]] Json::Object envelope(std::string_view text,
                                      std::string_view thoughts = {},
                                      const std::vector<CalledTool>& calls = {}) const {
    Json::Object object;
    object.emplace("model", Json{model_});
    object.emplace("created_at", Json{created_});
    if (chat_) {
      Json::Object message;
      message.emplace("role", Json{"assistant"});
      message.emplace("content", Json{text});
      if (!thoughts.empty()) {
        message.emplace("thinking", Json{thoughts});
      }
      if (!calls.empty()) {
        message.emplace("tool_calls", calls_json(calls));
      }
      object.emplace("message", Json{std::move(message)});
    } else {
      object.emplace("response", Json{text});
      if (!thoughts.empty()) {
        object.emplace("thinking", Json{thoughts});
      }
    }
    return object;
  }

  [[nodiscard]] Json::Object last(std::string_view text,
                                  const TextTotals& totals,
                                  std::string_view thoughts = {},
                                  const std::vector<CalledTool>& calls = {}) const {
    Json::Object object = envelope(text, thoughts, calls);
    object.emplace("done", Json{true});
    object.emplace("done_reason", Json{end_.length ? "length" : "stop"});
    object.emplace("total_duration", Json{static_cast<std::int64_t>(totals.total.count())});
    object.emplace("load_duration", Json{static_cast<std::int64_t>(totals.load.count())});
    object.emplace("prompt_eval_count", Json{totals.prompt_tokens});
    object.emplace("prompt_eval_duration", Json{static_cast<std::int64_t>(totals.prefill.count())});
    object.emplace("eval_count", Json{totals.completion_tokens});
    object.emplace("eval_duration", Json{static_cast<std::int64_t>(totals.decode.count())});
    return object;
  }

  std::string created_;
  std::string model_;
  TextEnd end_;
  std::vector<CalledTool> called_;  // not told yet
  bool chat_;
};

Json::Object details_of(const OllamaModel& model) {
  Json::Array families;
  if (!model.family.empty()) {
    families.emplace_back(model.family);
  }
  Json::Object details;
  details.emplace("parent_model", Json{""});
  details.emplace("format", Json{model.format});
  details.emplace("family", Json{model.family});
  details.emplace("families", Json{std::move(families)});
  details.emplace("parameter_size", Json{""});
  details.emplace("quantization_level", Json{model.quantization});
  return details;
}

Json::Object entry_of(const OllamaModel& model) {
  // Ollama's digests have no algorithm before them.
  const std::size_t colon = model.digest.find(':');
  Json::Object object;
  object.emplace("name", Json{model.name});
  object.emplace("model", Json{model.name});
  object.emplace("size", Json{model.size});
  object.emplace("digest",
                 Json{colon == std::string::npos ? model.digest : model.digest.substr(colon + 1)});
  object.emplace("details", Json{details_of(model)});
  return object;
}

std::string list_of(Json::Array models) {
  Json::Object object;
  object.emplace("models", Json{std::move(models)});
  return Json{std::move(object)}.dump();
}

}  // namespace

std::unique_ptr<TextDialect> make_generate_dialect(WallTime now) {
  return std::make_unique<OllamaDialect>(now, false);
}

std::unique_ptr<TextDialect> make_chat_dialect(WallTime now) {
  return std::make_unique<OllamaDialect>(now, true);
}

std::string loaded_line(std::string_view model, WallTime now, bool chat, std::string_view reason) {
  Json::Object object;
  object.emplace("model", Json{model});
  object.emplace("created_at", Json{to_rfc3339(now)});
  if (chat) {
    Json::Object message;
    message.emplace("role", Json{"assistant"});
    message.emplace("content", Json{""});
    object.emplace("message", Json{std::move(message)});
  } else {
    object.emplace("response", Json{""});
  }
  object.emplace("done", Json{true});
  object.emplace("done_reason", Json{reason});
  return line_of(std::move(object));
}

std::string embed_body(const std::string& model,
                       const std::vector<std::vector<float>>& vectors,
                       std::uint32_t prompt_tokens,
                       std::chrono::nanoseconds total) {
  std::string data;
  for (const std::vector<float>& vector : vectors) {
    data += (data.empty() ? "" : ",") + openai::float_list(vector);
  }
  return R"({"model":)" + Json{model}.dump() + R"(,"embeddings":[)" + data +
         R"(],"total_duration":)" + std::to_string(total.count()) + R"(,"prompt_eval_count":)" +
         std::to_string(prompt_tokens) + "}";
}

std::string legacy_embed_body(const std::vector<float>& vector) {
  return R"({"embedding":)" + openai::float_list(vector) + "}";
}

std::string tags_body(const std::vector<OllamaModel>& models) {
  Json::Array list;
  for (const OllamaModel& model : models) {
    Json::Object object = entry_of(model);
    object.emplace("modified_at", Json{to_rfc3339(model.modified)});
    list.emplace_back(std::move(object));
  }
  return list_of(std::move(list));
}

std::string ps_body(const std::vector<OllamaModel>& models) {
  // How Ollama says "until somebody unloads it".
  constexpr std::string_view kNever = "2318-01-01T00:00:00Z";
  Json::Array list;
  for (const OllamaModel& model : models) {
    Json::Object object = entry_of(model);
    object.emplace("expires_at",
                   Json{model.expires ? to_rfc3339(*model.expires) : std::string{kNever}});
    object.emplace("size_vram", Json{0});
    object.emplace("context_length", Json{model.context_length});
    list.emplace_back(std::move(object));
  }
  return list_of(std::move(list));
}

std::string show_body(const OllamaModel& model) {
  Json::Object info;
  if (!model.family.empty()) {
    info.emplace("general.architecture", Json{model.family});
    info.emplace(model.family + ".context_length", Json{model.context_length});
  }
  Json::Array capabilities;
  for (const std::string& one : model.capabilities) {
    capabilities.emplace_back(one);
  }
  Json::Object object;
  object.emplace("license", Json{model.license});
  object.emplace("modelfile", Json{""});
  object.emplace("parameters", Json{""});
  object.emplace("template", Json{""});
  object.emplace("details", Json{details_of(model)});
  object.emplace("model_info", Json{std::move(info)});
  object.emplace("capabilities", Json{std::move(capabilities)});
  object.emplace("modified_at", Json{to_rfc3339(model.modified)});
  return Json{std::move(object)}.dump();
}

std::string version_body(std::string_view version) {
  Json::Object object;
  object.emplace("version", Json{version});
  return Json{std::move(object)}.dump();
}

std::string progress_line(std::string_view status,
                          std::string_view digest,
                          std::uint64_t total,
                          std::uint64_t completed) {
  Json::Object object;
  object.emplace("status", Json{status});
  if (total > 0) {
    object.emplace("digest", Json{digest});
    object.emplace("total", Json{total});
    object.emplace("completed", Json{completed});
  }
  return line_of(std::move(object));
}

std::string error_line(const Error& error) {
  Json::Object object;
  object.emplace("error", Json{error.to_string()});
  return line_of(std::move(object));
}

}  // namespace skerry::agent::ollama
