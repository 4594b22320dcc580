#include "text_call.hpp"

#include <algorithm>
#include <utility>

#include "choice_state.hpp"

namespace skerry::agent {
namespace {

// What the service layer pushes and the session's coroutine takes.
class TextCollector {
 public:
  TextCollector(Core& core, std::size_t choices, bool streamed)
      : changed_(core.control), choices_(choices), streamed_(streamed) {}

  // The client went away, or another choice failed: stops the work.
  void abandon() {
    abandoned_ = true;
    for (const ChoiceState& choice : choices_) {
      choice.handle.cancel();
    }
  }
  void fail(const Error& error) {
    if (!error_) {
      error_ = error;
    }
    changed_.notify();
  }
  void changed() { changed_.notify(); }
  // More of an answer came: as long as the client has not taken it, it is our memory.
  void check_unread(const ChoiceState& choice) {
    if (!streamed_ && log_probs_ > kMostWholeLogProbs && !error_) {
      fail(Error{Error::Code::kResourceExhausted,
                 "an answer that is not streamed has at most 131072 log-probabilities: ask for "
                 "fewer top_logprobs or tokens, or for a stream"});
      abandon();
    }
    std::size_t bytes = choice.text.size();
    for (const AnswerPart& part : choice.parts) {
      bytes += part.text.size();
    }
    const bool many =
        bytes > kMostUnreadText || choice.log_probs.size() > std::size_t{kMostUnreadLogProbs};
    if (streamed_ && many && !error_) {
      fail(Error{Error::Code::kResourceExhausted,
                 "the client reads too slowly: 1 MiB of the answer, or 4096 of its "
                 "log-probabilities, wait for it"});
      abandon();
    }
  }
  void count_log_probs(std::size_t more) { log_probs_ += more; }
  Task<void> wait() { co_await changed_.wait_for(kGoneCheck); }

  [[nodiscard]] bool abandoned() const { return abandoned_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::vector<ChoiceState>& choices() { return choices_; }
  [[nodiscard]] bool any_started() const {
    return std::any_of(
        choices_.begin(), choices_.end(), [](const auto& one) { return one.started.has_value(); });
  }
  [[nodiscard]] bool all_done() const {
    return std::all_of(
        choices_.begin(), choices_.end(), [](const auto& one) { return one.done.has_value(); });
  }
  [[nodiscard]] bool has_news() const {
    return std::any_of(
        choices_.begin(), choices_.end(), [](const auto& one) { return one.has_news(); });
  }
  std::string model;

 private:
  Notifier changed_;
  std::vector<ChoiceState> choices_;
  std::optional<Error> error_;
  bool streamed_;
  std::size_t log_probs_ = 0;
  bool abandoned_ = false;
};

TextLogProb::Choice choice_of(runtime::TokenLogProb::Choice choice) {
  return {.piece = std::move(choice.piece), .log_prob = static_cast<double>(choice.log_prob)};
}

class ChoiceSink final : public TextSink {
 public:
  ChoiceSink(std::shared_ptr<TextCollector> collector, std::size_t index)
      : collector_(std::move(collector)), index_(index) {}

  void started(const ServedModel& model,
               const runtime::ModelInfo&,
               const std::string&,
               const runtime::Started& facts) override {
    collector_->model = model.name();
    state().started = facts;
    collector_->changed();
  }
  void part(AnswerPart part) override {
    std::vector<AnswerPart>& parts = state().parts;
    state().called = state().called || part.kind == AnswerPart::Kind::kCall;
    // Text that waits came before it.
    if (std::string text = std::exchange(state().text, {}); !text.empty()) {
      parts.push_back({AnswerPart::Kind::kText, std::move(text), 0, {}, {}});
    }
    const bool joins = !parts.empty() && parts.back().kind == part.kind &&
                       part.kind != AnswerPart::Kind::kCall && parts.back().call == part.call;
    if (joins) {
      parts.back().text += part.text;
    } else {
      parts.push_back(std::move(part));
    }
    collector_->check_unread(state());
    collector_->changed();
  }
  void delta(runtime::TextDelta delta) override {
    state().text += delta.text;
    for (runtime::TokenLogProb& one : delta.log_probs) {
      TextLogProb told;
      told.chosen = choice_of(std::move(one.chosen));
      for (runtime::TokenLogProb::Choice& choice : one.top) {
        told.top.push_back(choice_of(std::move(choice)));
      }
      collector_->count_log_probs(1 + told.top.size());
      state().log_probs.push_back(std::move(told));
    }
    collector_->check_unread(state());
    collector_->changed();
  }
  void done(const runtime::Done& done, std::chrono::nanoseconds) override {
    if (done.reason == runtime::FinishReason::kCancelled) {
      collector_->fail(Error{Error::Code::kCancelled, "the request was cancelled"});
      return;
    }
    state().done = done;
    collector_->changed();
  }
  void failed(const Error& error, bool) override { collector_->fail(error); }
  [[nodiscard]] bool abandoned() const override { return collector_->abandoned(); }
  void submitted(runtime::RequestHandle handle) override {
    state().handle = std::move(handle);
    if (collector_->abandoned()) {
      state().handle.cancel();
    }
  }

 private:
  ChoiceState& state() { return collector_->choices()[index_]; }

  std::shared_ptr<TextCollector> collector_;
  std::size_t index_;
};

TextEnd end_of(const ChoiceState& state) {
  const runtime::Done& done = *state.done;
  TextEnd end;
  end.called = state.called;
  end.length = done.reason == runtime::FinishReason::kLength;
  end.stop_match = done.stop_match;
  return end;
}

void gather(AnswerPart part, TextChoice& choice) {
  switch (part.kind) {
    case AnswerPart::Kind::kText:
      choice.text += part.text;
      break;
    case AnswerPart::Kind::kReasoning:
      choice.reasoning += part.text;
      break;
    case AnswerPart::Kind::kCall:
      choice.calls.push_back({std::move(part.id), std::move(part.name), {}});
      break;
    case AnswerPart::Kind::kArguments:
      if (!choice.calls.empty()) {
        choice.calls.back().arguments += part.text;
      }
      break;
  }
}

class TextCall {
 public:
  TextCall(HttpExchange& exchange, TextRequest request, std::unique_ptr<TextDialect> dialect)
      : exchange_(exchange),
        request_(std::move(request)),
        dialect_(std::move(dialect)),
        collector_(std::make_shared<TextCollector>(
            exchange.parts().core, request_.prompts.size() * request_.answers, request_.stream)) {}

  Task<bool> run(Caller caller);

 private:
  Task<bool> submit(Caller caller);
  Task<bool> whole();
  Task<bool> stream();
  [[nodiscard]] TextStart start() const;
  [[nodiscard]] TextTotals totals() const;
  // What has come since the last call.
  std::string news();
  std::string written(std::size_t choice, const AnswerPart& part);

  HttpExchange& exchange_;
  TextRequest request_;
  std::unique_ptr<TextDialect> dialect_;
  std::shared_ptr<TextCollector> collector_;
  std::chrono::nanoseconds load_{0};
};

Task<bool> TextCall::run(Caller caller) {
  bool answered = false;
  try {
    co_await submit(std::move(caller));
    if (request_.stream) {
      answered = co_await stream();
    } else {
      answered = co_await whole();
    }
  } catch (...) {
    collector_->abandon();
    throw;
  }
  // After an error the other choices have nobody to answer to either.
  if (!answered || collector_->error()) {
    collector_->abandon();
  }
  co_return answered;
}

Task<bool> TextCall::submit(Caller caller) {
  HttpParts& parts = exchange_.parts();
  const BootTime began = parts.core.clock.boot_now();
  for (std::size_t i = 0; i < collector_->choices().size(); ++i) {
    std::string id = exchange_.id();
    if (i > 0) {
      id += "-" + std::to_string(i);
    }
    TextJob job = text_job_of(request_, i, id);
    auto sink = std::make_shared<ChoiceSink>(collector_, i);
    co_await parts.inference.generate(caller, std::move(job), std::move(sink));
    if (i == 0) {
      load_ = parts.core.clock.boot_now() - began;
    }
    if (collector_->error()) {
      co_return false;
    }
  }
  co_return true;
}

TextStart TextCall::start() const {
  TextStart start;
  start.model = collector_->model;
  for (const ChoiceState& choice : collector_->choices()) {
    if (choice.started) {
      start.prompt_tokens = choice.started->prompt_tokens;
      start.cached_tokens = choice.started->cached_tokens;
      break;
    }
  }
  return start;
}

TextTotals TextCall::totals() const {
  TextTotals totals;
  totals.load = load_;
  const std::vector<ChoiceState>& choices = collector_->choices();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const runtime::Done& done = *choices[i].done;
    if (i % request_.answers == 0) {
      totals.prompt_tokens += done.usage.prompt_tokens;
      totals.cached_tokens += done.usage.cached_tokens;
    }
    totals.completion_tokens += done.usage.completion_tokens;
    totals.prefill = std::max(totals.prefill, done.timing.prefill);
    totals.decode = std::max(totals.decode, done.timing.decode);
    totals.total = std::max(totals.total, load_ + done.timing.total);
  }
  return totals;
}

std::string TextCall::written(std::size_t choice, const AnswerPart& part) {
  switch (part.kind) {
    case AnswerPart::Kind::kText:
      return dialect_->delta(choice, part.text);
    case AnswerPart::Kind::kReasoning:
      return dialect_->reasoning(choice, part.text);
    case AnswerPart::Kind::kCall:
      return dialect_->call(choice, part.call, CalledTool{part.id, part.name, {}});
    case AnswerPart::Kind::kArguments:
      return dialect_->arguments(choice, part.call, part.text);
  }
  return {};
}

std::string TextCall::news() {
  std::string bytes;
  std::vector<ChoiceState>& choices = collector_->choices();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    for (const AnswerPart& part : std::exchange(choices[i].parts, {})) {
      bytes += written(i, part);
    }
    const std::string text = std::exchange(choices[i].text, {});
    const std::vector<TextLogProb> log_probs = std::exchange(choices[i].log_probs, {});
    if (!text.empty() || !log_probs.empty()) {
      bytes += dialect_->delta_with(i, text, log_probs);
    }
    if (choices[i].done && !std::exchange(choices[i].told, true)) {
      bytes += dialect_->ended(i, end_of(choices[i]));
    }
  }
  return bytes;
}

Task<bool> TextCall::whole() {
  while (!collector_->all_done() && !collector_->error()) {
    co_await collector_->wait();
    if (exchange_.peer_gone()) {
      co_return false;
    }
  }
  if (collector_->error()) {
    co_return co_await exchange_.fail(*collector_->error());
  }
  std::vector<TextChoice> choices;
  for (ChoiceState& state : collector_->choices()) {
    TextChoice choice;
    choice.end = end_of(state);
    for (AnswerPart& part : state.parts) {
      gather(std::move(part), choice);
    }
    choice.text += state.text;
    choice.log_probs = std::move(state.log_probs);
    choices.push_back(std::move(choice));
  }
  std::string body = dialect_->whole(start(), choices, totals());
  co_return co_await exchange_.json(std::move(body));
}

Task<bool> TextCall::stream() {
  // The status line waits for the first event: what fails before it is an ordinary error.
  while (!collector_->any_started() && !collector_->error()) {
    co_await collector_->wait();
    if (exchange_.peer_gone()) {
      co_return false;
    }
  }
  if (!collector_->any_started()) {
    co_return co_await exchange_.fail(*collector_->error());
  }
  if (!co_await exchange_.begin_stream(dialect_->stream_type(), dialect_->begin(start()))) {
    co_return false;
  }
  while (true) {
    const bool failed = collector_->error().has_value();
    const bool last = failed || collector_->all_done();
    std::string bytes = news();
    if (last) {
      bytes += failed ? dialect_->failed(*collector_->error()) : dialect_->end(totals());
      co_return co_await exchange_.end_stream(std::move(bytes));
    }
    if (!co_await exchange_.write_stream(std::move(bytes))) {
      co_return false;
    }
    if (!collector_->has_news() && !collector_->all_done() && !collector_->error()) {
      co_await collector_->wait();
    }
    if (exchange_.peer_gone()) {
      co_return false;
    }
  }
}

}  // namespace

TextJob text_job_of(const TextRequest& request, std::size_t choice, const std::string& id) {
  TextJob job;
  job.call.reference = request.model;
  job.call.request_id = id;
  const TextPrompt& prompt = request.prompts[choice / request.answers];
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    job.prompt = runtime::Prompt{*text};
  } else if (const auto* tokens = std::get_if<std::vector<std::int32_t>>(&prompt)) {
    job.prompt = runtime::PromptTokens{*tokens};
  } else {
    runtime::PromptChat chat;
    for (const ChatMessage& message : std::get<std::vector<ChatMessage>>(prompt)) {
      runtime::ChatMessage one{message.role, message.content};
      one.reasoning = message.reasoning;
      for (const CalledTool& call : message.calls) {
        one.tool_calls.push_back({call.id, call.name, call.arguments});
      }
      one.tool_call_id = message.call_id;
      one.name = message.name;
      chat.messages.push_back(std::move(one));
    }
    chat.thinking = request.thinking;
    job.prompt = std::move(chat);
  }
  const TextSampling& sampling = request.sampling;
  job.sampling.temperature = static_cast<float>(sampling.temperature);
  job.sampling.top_p = static_cast<float>(sampling.top_p);
  job.sampling.min_p = static_cast<float>(sampling.min_p);
  job.sampling.top_k = sampling.top_k;
  job.sampling.repeat_penalty = static_cast<float>(sampling.repeat_penalty);
  job.sampling.repeat_last = sampling.repeat_last;
  job.sampling.frequency_penalty = static_cast<float>(sampling.frequency_penalty);
  job.sampling.presence_penalty = static_cast<float>(sampling.presence_penalty);
  // Several answers to one prompt are to differ, and to be the same the next time.
  if (sampling.seed) {
    job.sampling.seed = *sampling.seed + choice % request.answers;
  }
  job.max_tokens = request.max_tokens;
  job.stop = request.stop;
  job.grammar = request.grammar;
  job.response_format = request.response_format;
  job.tools = request.tools;
  job.log_probs = request.log_probs;
  return job;
}

Task<bool> serve_text(HttpExchange& exchange,
                      Caller caller,
                      TextRequest request,
                      std::unique_ptr<TextDialect> dialect) {
  TextCall call(exchange, std::move(request), std::move(dialect));
  co_return co_await call.run(std::move(caller));
}

}  // namespace skerry::agent
