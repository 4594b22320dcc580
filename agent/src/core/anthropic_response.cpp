// Answers of Anthropic's Messages API.

#include <algorithm>
#include <utility>

#include "skerry/agent/anthropic.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::anthropic {
namespace {

std::string named_event(std::string_view name, Json::Object object) {
  object.emplace("type", Json{name});
  return "event: " + std::string{name} + "\ndata: " + Json{std::move(object)}.dump() + "\n\n";
}

// Anthropic counts what came from the cache apart from the rest.
Json::Object input_usage(std::uint32_t prompt, std::uint32_t cached) {
  Json::Object usage;
  usage.emplace("input_tokens", Json{prompt - std::min(prompt, cached)});
  usage.emplace("cache_read_input_tokens", Json{cached});
  usage.emplace("cache_creation_input_tokens", Json{0});
  return usage;
}

void put_stop(const TextEnd& end, Json::Object& out) {
  const bool matched = !end.stop_match.empty();
  out.emplace("stop_reason",
              Json{end.length   ? "max_tokens"
                   : end.called ? "tool_use"
                   : matched    ? "stop_sequence"
                                : "end_turn"});
  out.emplace("stop_sequence", matched ? Json{end.stop_match} : Json{nullptr});
}

Json text_block(std::string_view text) {
  Json::Object block;
  block.emplace("type", Json{"text"});
  block.emplace("text", Json{text});
  return Json{std::move(block)};
}

// Nothing here signs thoughts; clients send the member back as it is.
Json thinking_block(std::string_view text) {
  Json::Object block;
  block.emplace("type", Json{"thinking"});
  block.emplace("thinking", Json{text});
  block.emplace("signature", Json{""});
  return Json{std::move(block)};
}

Json call_block(const CalledTool& call) {
  Result<Json> input = Json::parse(call.arguments.empty() ? "{}" : call.arguments);
  Json::Object block;
  block.emplace("type", Json{"tool_use"});
  block.emplace("id", Json{call.id});
  block.emplace("name", Json{call.name});
  block.emplace("input", input && input->is_object() ? *std::move(input) : Json{Json::Object{}});
  return Json{std::move(block)};
}

std::string_view error_type(const Error& error) {
  switch (openai::http_error(error.code()).status) {
    case 400:
    case 405:
    case 409:
    case 501:
      return "invalid_request_error";
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return "api_error";
  }
}

Json error_json(const Error& error, std::string_view request_id) {
  Json::Object inner;
  inner.emplace("type", Json{error_type(error)});
  inner.emplace("message", Json{error.message()});
  Json::Object object;
  object.emplace("type", Json{"error"});
  object.emplace("error", Json{std::move(inner)});
  object.emplace("request_id", request_id.empty() ? Json{nullptr} : Json{request_id});
  return Json{std::move(object)};
}

Json model_json(const openai::ModelEntry& model) {
  Json::Object object;
  object.emplace("type", Json{"model"});
  object.emplace("id", Json{model.id});
  object.emplace("display_name", Json{model.id});
  object.emplace("created_at", Json{to_rfc3339(WallTime{std::chrono::seconds{model.created}})});
  return Json{std::move(object)};
}

class MessageDialect final : public TextDialect {
 public:
  explicit MessageDialect(std::string id) : id_(std::move(id)) {}

  [[nodiscard]] std::string_view stream_type() const override { return kServerSentEvents; }

  std::string begin(const TextStart& start) override {
    Json::Object message = envelope(start.model);
    message.emplace("content", Json{Json::Array{}});
    message.emplace("stop_reason", Json{nullptr});
    message.emplace("stop_sequence", Json{nullptr});
    Json::Object usage = input_usage(start.prompt_tokens, start.cached_tokens);
    usage.emplace("output_tokens", Json{0});
    message.emplace("usage", Json{std::move(usage)});
    Json::Object first;
    first.emplace("message", Json{std::move(message)});
    return named_event("message_start", std::move(first)) + named_event("ping", {});
  }

  std::string delta(std::size_t, std::string_view text) override {
    std::string events = open(Block::kText, text_block(""));
    return events + piece("text_delta", "text", text);
  }

  std::string reasoning(std::size_t, std::string_view text) override {
    std::string events = open(Block::kThoughts, thinking_block(""));
    return events + piece("thinking_delta", "thinking", text);
  }

  std::string call(std::size_t, std::size_t, const CalledTool& call) override {
    std::string events = close();
    return events + open(Block::kCall, call_block({call.id, call.name, {}}));
  }

  std::string arguments(std::size_t, std::size_t, std::string_view text) override {
    return piece("input_json_delta", "partial_json", text);
  }

  std::string ended(std::size_t, const TextEnd& end) override {
    end_ = end;
    // An answer has one block at least.
    std::string events = index_ == 0 ? open(Block::kText, text_block("")) : std::string{};
    return events + close();
  }

  std::string end(const TextTotals& totals) override {
    Json::Object inner;
    put_stop(end_, inner);
    Json::Object usage = input_usage(totals.prompt_tokens, totals.cached_tokens);
    usage.emplace("output_tokens", Json{totals.completion_tokens});
    Json::Object object;
    object.emplace("delta", Json{std::move(inner)});
    object.emplace("usage", Json{std::move(usage)});
    return named_event("message_delta", std::move(object)) + named_event("message_stop", {});
  }

  std::string failed(const Error& error) override {
    return "event: error\ndata: " + error_json(error, {}).dump() + "\n\n";
  }

  std::string whole(const TextStart& start,
                    const std::vector<TextChoice>& choices,
                    const TextTotals& totals) override {
    const TextChoice& only = choices.front();
    Json::Object message = envelope(start.model);
    Json::Array content;
    if (!only.reasoning.empty()) {
      content.push_back(thinking_block(only.reasoning));
    }
    if (!only.text.empty() || only.calls.empty()) {
      content.push_back(text_block(only.text));
    }
    for (const CalledTool& call : only.calls) {
      content.push_back(call_block(call));
    }
    message.emplace("content", Json{std::move(content)});
    put_stop(only.end, message);
    Json::Object usage = input_usage(totals.prompt_tokens, totals.cached_tokens);
    usage.emplace("output_tokens", Json{totals.completion_tokens});
    message.emplace("usage", Json{std::move(usage)});
    return Json{std::move(message)}.dump();
  }

 private:
  enum class Block : std::uint8_t { kNone, kText, kThoughts, kCall };

  // Begins a block unless one of its kind is open.
  std::string open(Block kind, Json block) {
    if (block_ == kind) {
      return {};
    }
    std::string events = close();
    block_ = kind;
    Json::Object object;
    object.emplace("index", Json{index_++});
    object.emplace("content_block", std::move(block));
    return events + named_event("content_block_start", std::move(object));
  }
  std::string close() {
    if (std::exchange(block_, Block::kNone) == Block::kNone) {
      return {};
    }
    Json::Object object;
    object.emplace("index", Json{index_ - 1});
    return named_event("content_block_stop", std::move(object));
  }
  [[nodiscard]] std::string piece(std::string_view type,
                                  std::string_view member,
                                  std::string_view text) const {
    Json::Object inner;
    inner.emplace("type", Json{type});
    inner.emplace(std::string{member}, Json{text});
    Json::Object object;
    object.emplace("index", Json{index_ - 1});
    object.emplace("delta", Json{std::move(inner)});
    return named_event("content_block_delta", std::move(object));
  }

  [[nodiscard]] Json::Object envelope(const std::string& model) const {
    Json::Object message;
    message.emplace("id", Json{id_});
    message.emplace("type", Json{"message"});
    message.emplace("role", Json{"assistant"});
    message.emplace("model", Json{model});
    return message;
  }

  std::string id_;
  TextEnd end_;
  Block block_ = Block::kNone;
  int index_ = 0;  // of the block after the one that is open
};

}  // namespace

std::unique_ptr<TextDialect> make_message_dialect(std::string id) {
  return std::make_unique<MessageDialect>(std::move(id));
}

std::string count_body(std::size_t tokens) {
  Json::Object object;
  object.emplace("input_tokens", Json{static_cast<std::uint64_t>(tokens)});
  return Json{std::move(object)}.dump();
}

std::string error_body(const Error& error, std::string_view request_id) {
  return error_json(error, request_id).dump();
}

std::string model_body(const openai::ModelEntry& model) {
  return model_json(model).dump();
}

std::string model_list_body(const std::vector<openai::ModelEntry>& models) {
  Json::Array data;
  for (const openai::ModelEntry& model : models) {
    data.push_back(model_json(model));
  }
  Json::Object object;
  object.emplace("data", Json{std::move(data)});
  object.emplace("has_more", Json{false});
  object.emplace("first_id", models.empty() ? Json{nullptr} : Json{models.front().id});
  object.emplace("last_id", models.empty() ? Json{nullptr} : Json{models.back().id});
  return Json{std::move(object)}.dump();
}

}  // namespace skerry::agent::anthropic
