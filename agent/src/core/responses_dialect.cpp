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

// A part of the answer's output: a message, thoughts, or a call of a function.
struct OutputItem {
  enum class Kind : std::uint8_t { kMessage, kThoughts, kCall };
  Kind kind = Kind::kMessage;
  std::string id;
  std::string text;  // arguments, of a call
  CalledTool call;
};

Json summary_part(std::string_view text) {
  Json::Object part;
  part.emplace("type", Json{"summary_text"});
  part.emplace("text", Json{text});
  return Json{std::move(part)};
}

Json item_json(const OutputItem& item, std::string_view state, bool with_text) {
  Json::Object object;
  object.emplace("id", Json{item.id});
  Json::Array parts;
  switch (item.kind) {
    case OutputItem::Kind::kMessage:
      if (with_text) {
        parts.push_back(text_part(item.text));
      }
      object.emplace("type", Json{"message"});
      object.emplace("status", Json{state});
      object.emplace("role", Json{"assistant"});
      object.emplace("content", Json{std::move(parts)});
      break;
    case OutputItem::Kind::kThoughts:
      if (with_text) {
        parts.push_back(summary_part(item.text));
      }
      object.emplace("type", Json{"reasoning"});
      object.emplace("summary", Json{std::move(parts)});
      break;
    case OutputItem::Kind::kCall:
      object.emplace("type", Json{"function_call"});
      object.emplace("status", Json{state});
      object.emplace("call_id", Json{item.call.id});
      object.emplace("name", Json{item.call.name});
      object.emplace("arguments", Json{with_text ? item.text : std::string{}});
      break;
  }
  return Json{std::move(object)};
}

// As they were asked for; members that were not given are null.
Json offered_tools(const ToolUse& use) {
  Json::Array list;
  for (const ToolDefinition& tool : use.tools) {
    Result<Json> schema = Json::parse(tool.schema);
    Json::Object object;
    object.emplace("type", Json{"function"});
    object.emplace("name", Json{tool.name});
    object.emplace("description", tool.description.empty() ? Json{} : Json{tool.description});
    object.emplace("parameters", schema ? *std::move(schema) : Json{});
    object.emplace("strict", Json{tool.strict});
    list.emplace_back(std::move(object));
  }
  return Json{std::move(list)};
}

Json chosen_tool(const ToolUse& use) {
  switch (use.choice) {
    case ToolChoice::kAuto:
      return Json{"auto"};
    case ToolChoice::kNone:
      return Json{"none"};
    case ToolChoice::kRequired:
      return Json{"required"};
    case ToolChoice::kNamed:
      break;
  }
  Json::Object object;
  object.emplace("type", Json{"function"});
  object.emplace("name", Json{use.named});
  return Json{std::move(object)};
}

class ResponsesDialect final : public TextDialect {
 public:
  ResponsesDialect(const TextRequest& request, std::string_view id, std::int64_t created)
      : id_(id),
        created_(created),
        temperature_(request.sampling.temperature),
        top_p_(request.sampling.top_p),
        max_tokens_(request.max_tokens),
        tools_(request.tools) {}

  [[nodiscard]] std::string_view stream_type() const override { return kServerSentEvents; }

  std::string begin(const TextStart& start) override {
    model_ = start.model;
    std::string events = with_response("response.created", "in_progress", Json{nullptr});
    return events + with_response("response.in_progress", "in_progress", Json{nullptr});
  }

  std::string delta(std::size_t, std::string_view text) override {
    std::string events = open(OutputItem::Kind::kMessage);
    items_.back().text += text;
    Json::Object object = place("content_index");
    object.emplace("delta", Json{text});
    object.emplace("logprobs", Json{Json::Array{}});
    return events + event("response.output_text.delta", std::move(object));
  }

  std::string reasoning(std::size_t, std::string_view text) override {
    std::string events = open(OutputItem::Kind::kThoughts);
    items_.back().text += text;
    Json::Object object = place("summary_index");
    object.emplace("delta", Json{text});
    return events + event("response.reasoning_summary_text.delta", std::move(object));
  }

  std::string call(std::size_t, std::size_t, const CalledTool& call) override {
    std::string events = close();
    return events + add(new_item(OutputItem::Kind::kCall, call));
  }

  std::string arguments(std::size_t, std::size_t, std::string_view text) override {
    items_.back().text += text;
    Json::Object object = place({});
    object.emplace("delta", Json{text});
    return event("response.function_call_arguments.delta", std::move(object));
  }

  std::string ended(std::size_t, const TextEnd& end) override {
    end_ = end;
    // An answer has one item at least.
    std::string events = items_.empty() ? open(OutputItem::Kind::kMessage) : std::string{};
    return events + close();
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
    const TextChoice& only = choices.front();
    if (!only.reasoning.empty()) {
      items_.push_back(new_item(OutputItem::Kind::kThoughts, {}));
      items_.back().text = only.reasoning;
    }
    if (!only.text.empty() || only.calls.empty()) {
      items_.push_back(new_item(OutputItem::Kind::kMessage, {}));
      items_.back().text = only.text;
    }
    for (const CalledTool& call : only.calls) {
      items_.push_back(new_item(OutputItem::Kind::kCall, call));
      items_.back().text = call.arguments;
    }
    end_ = only.end;
    return Json{response(status(), response_usage(totals))}.dump();
  }

 private:
  [[nodiscard]] std::string_view status() const { return end_.length ? "incomplete" : "completed"; }

  [[nodiscard]] OutputItem new_item(OutputItem::Kind kind, const CalledTool& call) const {
    const std::string_view prefix = kind == OutputItem::Kind::kMessage    ? "msg_"
                                    : kind == OutputItem::Kind::kThoughts ? "rs_"
                                                                          : "fc_";
    const std::string number = items_.empty() ? "" : "_" + std::to_string(items_.size());
    return {kind, std::string{prefix} + id_ + number, {}, call};
  }

  // Of the item in hand; `inner` names the index within it, if it has one.
  [[nodiscard]] Json::Object place(std::string_view inner) const {
    Json::Object object;
    object.emplace("item_id", Json{items_.back().id});
    object.emplace("output_index", Json{static_cast<std::uint64_t>(items_.size() - 1)});
    if (!inner.empty()) {
      object.emplace(std::string{inner}, Json{0});
    }
    return object;
  }

  std::string add(OutputItem item) {
    items_.push_back(std::move(item));
    open_ = true;
    Json::Object added;
    added.emplace("output_index", Json{static_cast<std::uint64_t>(items_.size() - 1)});
    added.emplace("item", item_json(items_.back(), "in_progress", false));
    return event("response.output_item.added", std::move(added));
  }

  // Goes on with the item in hand if it is of that kind.
  std::string open(OutputItem::Kind kind) {
    if (open_ && items_.back().kind == kind) {
      return {};
    }
    std::string events = close();
    events += add(new_item(kind, {}));
    const bool message = kind == OutputItem::Kind::kMessage;
    Json::Object part = place(message ? "content_index" : "summary_index");
    part.emplace("part", message ? text_part("") : summary_part(""));
    return events +
           event(message ? "response.content_part.added" : "response.reasoning_summary_part.added",
                 std::move(part));
  }

  std::string close() {
    if (!std::exchange(open_, false)) {
      return {};
    }
    const OutputItem& item = items_.back();
    std::string events;
    if (item.kind == OutputItem::Kind::kCall) {
      Json::Object done = place({});
      done.emplace("arguments", Json{item.text});
      done.emplace("name", Json{item.call.name});
      events = event("response.function_call_arguments.done", std::move(done));
    } else {
      const bool message = item.kind == OutputItem::Kind::kMessage;
      const std::string_view index = message ? "content_index" : "summary_index";
      Json::Object text = place(index);
      text.emplace("text", Json{item.text});
      if (message) {
        text.emplace("logprobs", Json{Json::Array{}});
      }
      events = event(message ? "response.output_text.done" : "response.reasoning_summary_text.done",
                     std::move(text));
      Json::Object part = place(index);
      part.emplace("part", message ? text_part(item.text) : summary_part(item.text));
      events +=
          event(message ? "response.content_part.done" : "response.reasoning_summary_part.done",
                std::move(part));
    }
    Json::Object done;
    done.emplace("output_index", Json{static_cast<std::uint64_t>(items_.size() - 1)});
    done.emplace("item", item_json(item, status(), true));
    return events + event("response.output_item.done", std::move(done));
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

  [[nodiscard]] Json::Object response(std::string_view state, Json usage) const {
    Json::Array output;
    if (state == "completed" || state == "incomplete") {
      for (const OutputItem& item : items_) {
        output.push_back(item_json(item, state, true));
      }
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
    object.emplace("id", Json{"resp_" + id_});
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
    object.emplace("parallel_tool_calls", Json{tools_.parallel});
    object.emplace("previous_response_id", Json{nullptr});
    object.emplace("store", Json{false});
    object.emplace("temperature", Json{temperature_});
    object.emplace("text", Json{std::move(text)});
    object.emplace("tool_choice", chosen_tool(tools_));
    object.emplace("tools", offered_tools(tools_));
    object.emplace("top_p", Json{top_p_});
    object.emplace("truncation", Json{"disabled"});
    object.emplace("usage", std::move(usage));
    return object;
  }

  std::string id_;
  std::int64_t created_;
  double temperature_;
  double top_p_;
  std::uint32_t max_tokens_;
  ToolUse tools_;
  std::string model_;
  std::vector<OutputItem> items_;
  bool open_ = false;  // the last item goes on
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
