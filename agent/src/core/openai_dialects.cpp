// Answers of OpenAI's chat completions and completions, whole and as server-sent events.

#include <algorithm>
#include <utility>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

#include "output_format.hpp"

namespace skerry::agent::openai {
namespace {

std::string event(const Json& json) {
  return "data: " + json.dump() + "\n\n";
}

Json usage_json(const TextTotals& totals) {
  Json::Object details;
  details.emplace("cached_tokens", Json{totals.cached_tokens});
  Json::Object object;
  object.emplace("prompt_tokens", Json{totals.prompt_tokens});
  object.emplace("completion_tokens", Json{totals.completion_tokens});
  object.emplace("total_tokens", Json{totals.prompt_tokens + totals.completion_tokens});
  object.emplace("prompt_tokens_details", Json{std::move(details)});
  return Json{std::move(object)};
}

Json finish_json(const TextEnd& end) {
  return Json{end.length ? "length" : end.called ? "tool_calls" : "stop"};
}

Json call_json(const CalledTool& call) {
  Json::Object function;
  function.emplace("name", Json{call.name});
  function.emplace("arguments", Json{call.arguments});
  Json::Object object;
  object.emplace("id", Json{call.id});
  object.emplace("type", Json{"function"});
  object.emplace("function", Json{std::move(function)});
  return Json{std::move(object)};
}

Json chat_log_probs(const std::vector<TextLogProb>& list) {
  if (list.empty()) {
    return Json{nullptr};
  }
  Json::Object object;
  object.emplace("content", fields::log_probs_json(list));
  object.emplace("refusal", Json{nullptr});
  return Json{std::move(object)};
}

// Code points.
std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

// `offset` counts the code points of the tokens so far.
Json completion_log_probs(const std::vector<TextLogProb>& list, std::size_t& offset) {
  if (list.empty()) {
    return Json{nullptr};
  }
  Json::Array tokens;
  Json::Array chosen;
  Json::Array top;
  Json::Array offsets;
  for (const TextLogProb& one : list) {
    tokens.emplace_back(fields::token_text(one.chosen.piece));
    chosen.emplace_back(fields::written_log_prob(one.chosen.log_prob));
    Json::Object best;
    for (const TextLogProb::Choice& choice : one.top) {
      best.emplace(fields::token_text(choice.piece),
                   Json{fields::written_log_prob(choice.log_prob)});
    }
    top.push_back(best.empty() ? Json{nullptr} : Json{std::move(best)});
    offsets.emplace_back(static_cast<std::uint64_t>(offset));
    offset += length_of(one.chosen.piece);
  }
  Json::Object object;
  object.emplace("tokens", Json{std::move(tokens)});
  object.emplace("token_logprobs", Json{std::move(chosen)});
  object.emplace("top_logprobs", Json{std::move(top)});
  object.emplace("text_offset", Json{std::move(offsets)});
  return Json{std::move(object)};
}

// What the two calls share; they differ in the members of a choice.
class OpenAiDialect : public TextDialect {
 public:
  OpenAiDialect(const OpenAiText& request, Answer answer)
      : answer_(std::move(answer)), include_usage_(request.include_usage) {}

  [[nodiscard]] std::string_view stream_type() const override { return kServerSentEvents; }

  std::string end(const TextTotals& totals) override {
    std::string events;
    if (include_usage_) {
      Json::Object object = envelope(stream_kind());
      object.emplace("choices", Json{Json::Array{}});
      object.emplace("usage", usage_json(totals));
      events = event(Json{std::move(object)});
    }
    return events + "data: [DONE]\n\n";
  }

  std::string failed(const Error& error) override {
    return "data: " + error_body(error) + "\n\ndata: [DONE]\n\n";
  }

 protected:
  [[nodiscard]] virtual std::string_view stream_kind() const = 0;

  void take(const TextStart& start) { answer_.model = start.model; }

  [[nodiscard]] Json::Object envelope(std::string_view kind) const {
    Json::Object object;
    object.emplace("id", Json{answer_.id});
    object.emplace("object", Json{kind});
    object.emplace("created", Json{answer_.created});
    object.emplace("model", Json{answer_.model});
    object.emplace("system_fingerprint", Json{nullptr});
    return object;
  }

  [[nodiscard]] std::string chunk(std::size_t index,
                                  Json::Object choice,
                                  Json finish,
                                  Json log_probs = Json{nullptr}) const {
    choice.emplace("index", Json{static_cast<std::uint64_t>(index)});
    choice.emplace("logprobs", std::move(log_probs));
    choice.emplace("finish_reason", std::move(finish));
    Json::Array choices;
    choices.emplace_back(std::move(choice));
    Json::Object object = envelope(stream_kind());
    object.emplace("choices", Json{std::move(choices)});
    if (include_usage_) {
      object.emplace("usage", Json{nullptr});
    }
    return event(Json{std::move(object)});
  }

  [[nodiscard]] std::string body(std::string_view kind,
                                 Json::Array choices,
                                 const TextTotals& totals) const {
    Json::Object object = envelope(kind);
    object.emplace("choices", Json{std::move(choices)});
    object.emplace("usage", usage_json(totals));
    return Json{std::move(object)}.dump();
  }

 private:
  Answer answer_;
  bool include_usage_;
};

class ChatDialect final : public OpenAiDialect {
 public:
  ChatDialect(const OpenAiText& request, Answer answer)
      : OpenAiDialect(request, std::move(answer)), answers_(request.text.answers) {}

  std::string begin(const TextStart& start) override {
    take(start);
    std::string events;
    for (std::size_t i = 0; i < answers_; ++i) {
      Json::Object delta;
      delta.emplace("role", Json{"assistant"});
      delta.emplace("content", Json{""});
      events += delta_chunk(i, std::move(delta), Json{nullptr});
    }
    return events;
  }

  std::string delta(std::size_t choice, std::string_view text) override {
    return delta_with(choice, text, {});
  }

  std::string delta_with(std::size_t choice,
                         std::string_view text,
                         const std::vector<TextLogProb>& log_probs) override {
    Json::Object delta;
    delta.emplace("content", Json{text});
    return delta_chunk(choice, std::move(delta), Json{nullptr}, chat_log_probs(log_probs));
  }

  std::string reasoning(std::size_t choice, std::string_view text) override {
    Json::Object delta;
    delta.emplace("reasoning_content", Json{text});
    return delta_chunk(choice, std::move(delta), Json{nullptr});
  }

  std::string call(std::size_t choice, std::size_t index, const CalledTool& call) override {
    Json told = call_json(call);
    told.object()->emplace("index", Json{static_cast<std::uint64_t>(index)});
    return calls_chunk(choice, std::move(told));
  }

  std::string arguments(std::size_t choice, std::size_t index, std::string_view text) override {
    Json::Object function;
    function.emplace("arguments", Json{text});
    Json::Object told;
    told.emplace("index", Json{static_cast<std::uint64_t>(index)});
    told.emplace("function", Json{std::move(function)});
    return calls_chunk(choice, Json{std::move(told)});
  }

  std::string ended(std::size_t choice, const TextEnd& end) override {
    return delta_chunk(choice, {}, finish_json(end));
  }

  std::string whole(const TextStart& start,
                    const std::vector<TextChoice>& choices,
                    const TextTotals& totals) override {
    take(start);
    Json::Array list;
    for (const TextChoice& one : choices) {
      Json::Object message;
      message.emplace("role", Json{"assistant"});
      const bool only_calls = one.text.empty() && !one.calls.empty();
      message.emplace("content", only_calls ? Json{nullptr} : Json{one.text});
      message.emplace("refusal", Json{nullptr});
      if (!one.reasoning.empty()) {
        message.emplace("reasoning_content", Json{one.reasoning});
      }
      if (!one.calls.empty()) {
        Json::Array calls;
        for (const CalledTool& call : one.calls) {
          calls.push_back(call_json(call));
        }
        message.emplace("tool_calls", Json{std::move(calls)});
      }
      Json::Object choice;
      choice.emplace("index", Json{static_cast<std::uint64_t>(list.size())});
      choice.emplace("message", Json{std::move(message)});
      choice.emplace("logprobs", chat_log_probs(one.log_probs));
      choice.emplace("finish_reason", finish_json(one.end));
      list.emplace_back(std::move(choice));
    }
    return body("chat.completion", std::move(list), totals);
  }

 protected:
  [[nodiscard]] std::string_view stream_kind() const override { return "chat.completion.chunk"; }

 private:
  [[nodiscard]] std::string calls_chunk(std::size_t index, Json call) const {
    Json::Array calls;
    calls.push_back(std::move(call));
    Json::Object delta;
    delta.emplace("tool_calls", Json{std::move(calls)});
    return delta_chunk(index, std::move(delta), Json{nullptr});
  }

  [[nodiscard]] std::string delta_chunk(std::size_t index,
                                        Json::Object delta,
                                        Json finish,
                                        Json log_probs = Json{nullptr}) const {
    Json::Object choice;
    choice.emplace("delta", Json{std::move(delta)});
    return chunk(index, std::move(choice), std::move(finish), std::move(log_probs));
  }

  std::size_t answers_;
};

class CompletionDialect final : public OpenAiDialect {
 public:
  CompletionDialect(const OpenAiText& request, Answer answer)
      : OpenAiDialect(request, std::move(answer)) {
    const std::size_t answers = request.text.answers;
    for (std::size_t i = 0; request.echo && i < request.text.prompts.size() * answers; ++i) {
      const auto* text = std::get_if<std::string>(&request.text.prompts[i / answers]);
      echo_.push_back(text == nullptr ? std::string{} : *text);
    }
  }

  std::string begin(const TextStart& start) override {
    take(start);
    std::string events;
    for (std::size_t i = 0; i < echo_.size(); ++i) {
      events += delta(i, echo_[i]);
    }
    return events;
  }

  std::string delta(std::size_t choice, std::string_view text) override {
    return text_chunk(choice, text, Json{nullptr});
  }

  std::string delta_with(std::size_t choice,
                         std::string_view text,
                         const std::vector<TextLogProb>& log_probs) override {
    if (offsets_.size() <= choice) {
      offsets_.resize(choice + 1, 0);
    }
    Json told = completion_log_probs(log_probs, offsets_[choice]);
    return text_chunk(choice, text, Json{nullptr}, std::move(told));
  }

  std::string ended(std::size_t choice, const TextEnd& end) override {
    return text_chunk(choice, "", finish_json(end));
  }

  std::string whole(const TextStart& start,
                    const std::vector<TextChoice>& choices,
                    const TextTotals& totals) override {
    take(start);
    Json::Array list;
    for (const TextChoice& one : choices) {
      const std::size_t index = list.size();
      Json::Object choice;
      choice.emplace("index", Json{static_cast<std::uint64_t>(index)});
      choice.emplace("text", Json{index < echo_.size() ? echo_[index] + one.text : one.text});
      std::size_t offset = 0;
      choice.emplace("logprobs", completion_log_probs(one.log_probs, offset));
      choice.emplace("finish_reason", finish_json(one.end));
      list.emplace_back(std::move(choice));
    }
    return body("text_completion", std::move(list), totals);
  }

 protected:
  [[nodiscard]] std::string_view stream_kind() const override { return "text_completion"; }

 private:
  [[nodiscard]] std::string text_chunk(std::size_t index,
                                       std::string_view text,
                                       Json finish,
                                       Json log_probs = Json{nullptr}) const {
    Json::Object choice;
    choice.emplace("text", Json{text});
    return chunk(index, std::move(choice), std::move(finish), std::move(log_probs));
  }

  std::vector<std::string> echo_;
  std::vector<std::size_t> offsets_;  // of each choice, where log-probabilities are told
};

}  // namespace

std::unique_ptr<TextDialect> make_chat_dialect(const OpenAiText& request, Answer answer) {
  return std::make_unique<ChatDialect>(request, std::move(answer));
}

std::unique_ptr<TextDialect> make_completion_dialect(const OpenAiText& request, Answer answer) {
  return std::make_unique<CompletionDialect>(request, std::move(answer));
}

}  // namespace skerry::agent::openai
