// Answers of OpenAI's /v1/responses.

#include <utility>

#include "skerry/agent/openai.hpp"
#include "skerry/agent/openai_responses.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::openai {
namespace {

Json response_usage(const TextTotals& totals) {
  Json::Object input;
  input.emplace("cached_tokens", Json{totals.cached_tokens});
  Json::Object output;
  output.emplace("reasoning_tokens", Json{0});
  Json::Object usage;
  usage.emplace("input_tokens", Json{totals.prompt_tokens});
  usage.emplace("input_tokens_details", Json{std::move(input)});
  usage.emplace("output_tokens", Json{totals.completion_tokens});
  usage.emplace("output_tokens_details", Json{std::move(output)});
  usage.emplace("total_tokens", Json{totals.prompt_tokens + totals.completion_tokens});
  return Json{std::move(usage)};
}

Json text_part(std::string_view text) {
  Json::Object part;
  part.emplace("type", Json{"output_text"});
  part.emplace("text", Json{text});
  part.emplace("annotations", Json{Json::Array{}});
  part.emplace("logprobs", Json{Json::Array{}});
  return Json{std::move(part)};
}

class ResponsesDialect final : public TextDialect {
 public:
  ResponsesDialect(const TextRequest& request, std::string_view id, std::int64_t created)
      : id_("resp_" + std::string{id}),
        item_id_("msg_" + std::string{id}),
        created_(created),
        temperature_(request.sampling.temperature),
        top_p_(request.sampling.top_p),
        max_tokens_(request.max_tokens) {}

  [[nodiscard]] std::string_view stream_type() const override { return kServerSentEvents; }

  std::string begin(const TextStart& start) override {
    model_ = start.model;
    std::string events = with_response("response.created", "in_progress", Json{nullptr});
    events += with_response("response.in_progress", "in_progress", Json{nullptr});
    Json::Object added;
    added.emplace("output_index", Json{0});
    added.emplace("item", item("in_progress", false));
    events += event("response.output_item.added", std::move(added));
    Json::Object part = place();
    part.emplace("part", text_part(""));
    return events + event("response.content_part.added", std::move(part));
  }

  std::string delta(std::size_t, std::string_view text) override {
    text_ += text;
    Json::Object object = place();
    object.emplace("delta", Json{text});
    object.emplace("logprobs", Json{Json::Array{}});
    return event("response.output_text.delta", std::move(object));
  }

  std::string ended(std::size_t, const TextEnd& end) override {
    end_ = end;
    Json::Object text = place();
    text.emplace("text", Json{text_});
    text.emplace("logprobs", Json{Json::Array{}});
    std::string events = event("response.output_text.done", std::move(text));
    Json::Object part = place();
    part.emplace("part", text_part(text_));
    events += event("response.content_part.done", std::move(part));
    Json::Object done;
    done.emplace("output_index", Json{0});
    done.emplace("item", item(status(), true));
    return events + event("response.output_item.done", std::move(done));
  }

  std::string end(const TextTotals& totals) override {
    return with_response("response." + std::string{status()}, status(), response_usage(totals));
  }

  std::string failed(const Error& error) override {
    error_ = error;
    return with_response("response.failed", "failed", Json{nullptr});
  }

  std::string whole(const TextStart& start,
                    const std::vector<TextChoice>& choices,
                    const TextTotals& totals) override {
    model_ = start.model;
    text_ = choices.front().text;
    end_ = choices.front().end;
    return Json{response(status(), response_usage(totals))}.dump();
  }

 private:
  [[nodiscard]] std::string_view status() const { return end_.length ? "incomplete" : "completed"; }

  [[nodiscard]] Json::Object place() const {
    Json::Object object;
    object.emplace("item_id", Json{item_id_});
    object.emplace("output_index", Json{0});
    object.emplace("content_index", Json{0});
    return object;
  }

  std::string event(std::string_view name, Json::Object object) {
    object.emplace("type", Json{name});
    object.emplace("sequence_number", Json{sequence_++});
    return "event: " + std::string{name} + "\ndata: " + Json{std::move(object)}.dump() + "\n\n";
  }

  std::string with_response(std::string_view name, std::string_view state, Json usage) {
    Json::Object object;
    object.emplace("response", Json{response(state, std::move(usage))});
    return event(name, std::move(object));
  }

  [[nodiscard]] Json item(std::string_view state, bool with_text) const {
    Json::Array content;
    if (with_text) {
      content.push_back(text_part(text_));
    }
    Json::Object object;
    object.emplace("type", Json{"message"});
    object.emplace("id", Json{item_id_});
    object.emplace("status", Json{state});
    object.emplace("role", Json{"assistant"});
    object.emplace("content", Json{std::move(content)});
    return Json{std::move(object)};
  }

  [[nodiscard]] Json::Object response(std::string_view state, Json usage) const {
    Json::Array output;
    if (state == "completed" || state == "incomplete") {
      output.push_back(item(state, true));
    }
    Json::Object cut;
    cut.emplace("reason", Json{"max_output_tokens"});
    Json::Object why;
    if (error_) {
      why.emplace("code", Json{to_string(error_->code())});
      why.emplace("message", Json{error_->message()});
    }
    Json::Object format;
    format.emplace("type", Json{"text"});
    Json::Object text;
    text.emplace("format", Json{std::move(format)});
    Json::Object object;
    object.emplace("id", Json{id_});
    object.emplace("object", Json{"response"});
    object.emplace("created_at", Json{created_});
    object.emplace("status", Json{state});
    object.emplace("error", error_ ? Json{std::move(why)} : Json{nullptr});
    object.emplace("incomplete_details",
                   state == "incomplete" ? Json{std::move(cut)} : Json{nullptr});
    object.emplace("instructions", Json{nullptr});
    object.emplace("max_output_tokens", max_tokens_ == 0 ? Json{nullptr} : Json{max_tokens_});
    object.emplace("metadata", Json{Json::Object{}});
    object.emplace("model", Json{model_});
    object.emplace("output", Json{std::move(output)});
    object.emplace("parallel_tool_calls", Json{false});
    object.emplace("previous_response_id", Json{nullptr});
    object.emplace("store", Json{false});
    object.emplace("temperature", Json{temperature_});
    object.emplace("text", Json{std::move(text)});
    object.emplace("tool_choice", Json{"none"});
    object.emplace("tools", Json{Json::Array{}});
    object.emplace("top_p", Json{top_p_});
    object.emplace("truncation", Json{"disabled"});
    object.emplace("usage", std::move(usage));
    return object;
  }

  std::string id_;
  std::string item_id_;
  std::int64_t created_;
  double temperature_;
  double top_p_;
  std::uint32_t max_tokens_;
  std::string model_;
  std::string text_;
  TextEnd end_;
  std::optional<Error> error_;
  std::int64_t sequence_ = 0;
};

}  // namespace

std::unique_ptr<TextDialect> make_responses_dialect(const TextRequest& request,
                                                    std::string_view id,
                                                    std::int64_t created) {
  return std::make_unique<ResponsesDialect>(request, id, created);
}

}  // namespace skerry::agent::openai
