#include "skerry/agent/inference.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "skerry/agent/offered_calls.hpp"
#include "skerry/async/offload.hpp"

#include "chat_call.hpp"
#include "embed_call.hpp"

namespace skerry::agent {
namespace {

constexpr std::size_t kMaxRequestId = 64;

std::optional<Error> check_request_id(const std::string& id) {
  if (id.size() > kMaxRequestId) {
    return Error{Error::Code::kInvalidArgument, "request_id: at most 64 characters"};
  }
  for (const char c : id) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f) {
      return Error{Error::Code::kInvalidArgument, "request_id: only visible ASCII characters"};
    }
  }
  return std::nullopt;
}

security::AuditObject object_of(const ServedModel& model) {
  security::AuditObject object;
  object.model = model.name();
  object.version = model.version();
  object.variant = model.variant.name;
  object.slot = model.slot;
  object.manifest_digest = model.generation.manifest.to_string();
  object.blob_digest = model.weights.to_string();
  return object;
}

}  // namespace

// One admitted call, from the decision to its audit record.
struct Inference::Ticket {
  Caller caller;
  std::string action;
  security::Decision decision;
  ModelHost::Lease lease;
  runtime::RequestMeta meta;
  std::shared_ptr<CallWatch> watch;
  BootTime began{};
  InFlight in_flight;
  // The server that answered, where that was none of our workers.
  std::string served_by;
  bool settled = false;
  // Set while it counts against a quota.
  QuotaBook* quotas = nullptr;
  const Clock* clock = nullptr;

  Ticket() = default;
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  // However the call ends, its place is given back.
  ~Ticket() { pay(0); }
  void pay(std::uint64_t tokens) {
    if (QuotaBook* const book = std::exchange(quotas, nullptr); book != nullptr) {
      book->finish(decision, tokens, clock->boot_now());
    }
  }

  [[nodiscard]] const ServedModel& model() const { return lease.served(); }
};

// Carries the events of one text request to its sink and the bookkeeping.
class Inference::TextStream {
 public:
  // `reader`: of a chat whose answer may have more than text; null: none. `names`: whom an answer
  // may call that a server reads.
  TextStream(Inference& owner,
             std::shared_ptr<Ticket> ticket,
             std::shared_ptr<TextSink> sink,
             std::unique_ptr<ChatReader> reader,
             std::vector<std::string> names)
      : owner_(owner),
        ticket_(std::move(ticket)),
        sink_(std::move(sink)),
        reader_(std::move(reader)),
        offered_(std::move(names)) {}

  void take(runtime::Event event) {
    if (auto* started = std::get_if<runtime::Started>(&event)) {
      ticket_->in_flight.run();
      if (reader_ && started->thinking) {
        reader_->begin_thinking();
      }
      sink_->started(
          ticket_->model(), ticket_->lease.model().info(), ticket_->meta.id.str(), *started);
    } else if (auto* delta = std::get_if<runtime::TextDelta>(&event)) {
      count_tokens(delta->tokens.size());
      if (reader_) {
        read(std::move(*delta));
      } else {
        close_calls();
        sink_->delta(std::move(*delta));
      }
    } else if (auto* part = std::get_if<runtime::ChatPart>(&event)) {
      count_tokens(1);
      std::vector<AnswerPart> parts;
      offered_.take(answer_part(std::move(*part)), parts);
      tell(std::move(parts));
    } else if (auto* done = std::get_if<runtime::Done>(&event)) {
      if (reader_) {
        tell(reader_->finish());
      }
      close_calls();
      metrics().count_text({.prompt_tokens = done->usage.prompt_tokens,
                            .cached_tokens = done->usage.cached_tokens,
                            .completion_tokens = done->usage.completion_tokens,
                            .drafts = done->usage.drafts,
                            .draft_tokens = done->usage.draft_tokens,
                            .accepted_tokens = done->usage.accepted_tokens,
                            .queue = done->timing.queue,
                            .prefill = done->timing.prefill,
                            .decode = done->timing.decode});
      ticket_->served_by = done->served_by;
      owner_.settle(*ticket_, done->usage, to_string(done->reason));
      sink_->done(*done, first_token_);
    } else if (auto* failure = std::get_if<runtime::Failure>(&event)) {
      ticket_->served_by = failure->served_by;
      owner_.settle(*ticket_, failure->error);
      sink_->failed(failure->error, failure->retryable);
    }
  }

 private:
  [[nodiscard]] ModelMetrics& metrics() const {
    return owner_.metrics_.model(ticket_->model().name());
  }
  // What a server told apart from the text.
  [[nodiscard]] AnswerPart answer_part(runtime::ChatPart told) const {
    AnswerPart part;
    part.kind = told.kind == runtime::ChatPart::Kind::kReasoning ? AnswerPart::Kind::kReasoning
                : told.kind == runtime::ChatPart::Kind::kCall    ? AnswerPart::Kind::kCall
                                                                 : AnswerPart::Kind::kArguments;
    part.text = std::move(told.text);
    part.call = told.call;
    part.id = std::move(told.id);
    part.name = std::move(told.name);
    if (part.kind == AnswerPart::Kind::kCall && part.id.empty()) {
      part.id = make_call_id(owner_.core_);
    }
    return part;
  }
  // Takes thoughts and calls out of the text. Log-probabilities go with text alone.
  void read(runtime::TextDelta delta) {
    untold_.tokens.insert(untold_.tokens.end(), delta.tokens.begin(), delta.tokens.end());
    std::move(
        delta.log_probs.begin(), delta.log_probs.end(), std::back_inserter(untold_.log_probs));
    tell(reader_->push(delta.text));
    // However long the reader holds text back: the sink bounds what waits for the client.
    if (untold_.log_probs.size() >= kMostUntoldLogProbs) {
      sink_->delta(std::exchange(untold_, {}));
    }
  }
  void close_calls() {
    std::vector<AnswerPart> parts;
    offered_.close(parts);
    tell(std::move(parts));
  }
  void tell(std::vector<AnswerPart> parts) {
    for (AnswerPart& part : parts) {
      runtime::TextDelta delta = std::exchange(untold_, {});
      if (part.kind == AnswerPart::Kind::kText) {
        delta.text = std::move(part.text);
        sink_->delta(std::move(delta));
      } else {
        sink_->part(std::move(part));
      }
    }
  }
  // Text came, made of so many tokens.
  void count_tokens(std::size_t tokens) {
    const BootTime now = owner_.core_.clock.boot_now();
    if (first_token_.count() == 0) {
      first_token_ = now - ticket_->began;
      metrics().first_token.observe(first_token_);
      last_token_ = now;
    } else if (tokens > 0) {
      metrics().inter_token.observe((now - last_token_) / static_cast<std::int64_t>(tokens),
                                    tokens);
      last_token_ = now;
    }
  }

  static constexpr std::size_t kMostUntoldLogProbs = 256;

  Inference& owner_;
  std::shared_ptr<Ticket> ticket_;
  std::shared_ptr<TextSink> sink_;
  std::unique_ptr<ChatReader> reader_;
  OfferedCalls offered_;
  runtime::TextDelta untold_;  // tokens of text that the reader holds back
  std::chrono::nanoseconds first_token_{0};
  BootTime last_token_{};
};

Inference::Inference(
    Core& core, Access& access, AuditWriter& audit, Metrics& metrics, ModelHost& host)
    : core_(core), access_(access), audit_(audit), metrics_(metrics), host_(host) {}

Task<Result<ServedModelPtr>> Inference::find(Caller caller,
                                             std::string reference,
                                             security::Verb verb,
                                             std::string action) {
  if (reference.empty()) {
    co_return Error(Error::Code::kInvalidArgument, "model: must name a slot or a model");
  }
  Result<registry::ModelReference> parsed = registry::ModelReference::parse(reference);
  if (!parsed) {
    co_return parsed.error().with_context("model");
  }
  Result<ServedModelPtr> model = host_.resolve(*parsed);
  security::Resource resource;
  if (model) {
    resource.model = (*model)->name();
    resource.variant = (*model)->variant.name;
  } else if (!parsed->names_slot()) {
    resource.model = parsed->model.to_string();
  } else {
    co_return model.error();
  }
  Result<security::Decision> decision =
      co_await access_.authorise(std::move(caller), verb, std::move(resource), std::move(action));
  if (!decision) {
    co_return decision.error();
  }
  if (!model && why_absent_) {
    auto ask = [this, reference = *std::move(parsed)] { return why_absent_(reference); };
    std::optional<Error> why = co_await async::offload(core_.disk, std::move(ask));
    if (why) {
      co_return *std::move(why);
    }
  }
  co_return model;
}

Task<Result<std::shared_ptr<Inference::Ticket>>> Inference::admit(Caller caller,
                                                                  CallOptions call,
                                                                  security::Verb verb,
                                                                  std::string action) {
  if (std::optional<Error> bad = check_request_id(call.request_id)) {
    co_return *bad;
  }
  if (call.request_id.empty()) {
    call.request_id = "req-" + core_.random.hex(12);
  }
  Result<ServedModelPtr> model = co_await find(caller, call.reference, verb, action);
  if (!model) {
    co_return model.error();
  }
  auto ticket = std::make_shared<Ticket>();
  ticket->began = core_.clock.boot_now();
  security::Resource resource;
  resource.model = (*model)->name();
  resource.variant = (*model)->variant.name;
  ticket->decision = access_.decide(caller.principal, verb, resource);
  ticket->caller = std::move(caller);
  ticket->action = std::move(action);
  if (running_.contains(call.request_id)) {
    co_return Error(Error::Code::kAlreadyExists,
                    "request_id: \"" + call.request_id + "\" is running already");
  }
  if (call.watch && call.watch->abandoned()) {
    // Nobody waits: no model is loaded for it.
    const Error gone(Error::Code::kCancelled, "the client went away");
    record_failure(*ticket, **model, call.request_id, gone);
    co_return gone;
  }
  // Before a model is loaded: who floods must not make others' models leave.
  const Result<void> within = quotas_.admit(ticket->decision, ticket->began);
  if (!within) {
    metrics_.count_over_quota();
    ++metrics_.model((*model)->name()).failure[std::string(to_string(within.error().code()))];
    record_failure(*ticket, **model, call.request_id, within.error());
    co_return within.error();
  }
  ticket->quotas = &quotas_;
  ticket->clock = &core_.clock;
  ticket->in_flight.wait(metrics_.model((*model)->name()));
  Result<ModelHost::Lease> lease = co_await host_.acquire(*model);
  if (!lease) {
    ++metrics_.model((*model)->name()).failure[std::string(to_string(lease.error().code()))];
    record_failure(*ticket, **model, call.request_id, lease.error());
    co_return lease.error();
  }
  ticket->lease = *std::move(lease);
  ticket->watch = std::move(call.watch);
  ticket->meta.id = RequestId(call.request_id);
  ticket->meta.principal = ticket->caller.principal.to_string();
  ticket->meta.priority = call.priority;
  ticket->meta.model = (*model)->weights;
  const std::chrono::nanoseconds longest = core_.settings->runtime().request_timeout;
  ticket->meta.deadline =
      ticket->began + (call.timeout ? std::min(*call.timeout, longest) : longest);
  Running running;
  running.principal = ticket->meta.principal;
  running_.emplace(call.request_id, std::move(running));
  co_return ticket;
}

runtime::OnSubmit Inference::follow(const std::shared_ptr<Ticket>& ticket) {
  return [this, ticket](const runtime::RequestHandle& handle) {
    ticket->in_flight.run();
    if (const auto running = running_.find(ticket->meta.id.str()); running != running_.end()) {
      running->second.handle = handle;
    }
    if (ticket->watch) {
      ticket->watch->running(handle);
    }
  };
}

void Inference::settle(Ticket& ticket, const runtime::Usage& usage, std::string_view finish) {
  if (std::exchange(ticket.settled, true)) {
    return;
  }
  running_.erase(ticket.meta.id.str());
  ModelMetrics& model = metrics_.model(ticket.model().name());
  ticket.in_flight.end();
  // vLLM's name for it.
  ++model.success[std::string{finish == "cancelled" ? "abort" : finish}];
  model.prompt_tokens += usage.prompt_tokens;
  model.generation_tokens += usage.completion_tokens;
  ticket.pay(std::uint64_t{usage.prompt_tokens} + usage.completion_tokens);
  model.latency.observe(core_.clock.boot_now() - ticket.began);
  security::AuditEvent event = security::AuditEvent::inference(ticket.caller.principal,
                                                               ticket.caller.authn_method,
                                                               ticket.action,
                                                               ticket.decision,
                                                               object_of(ticket.model()),
                                                               security::AuditOutcome::kSuccess);
  event.correlation_id = ticket.meta.id.str();
  Json::Object details;
  details.emplace("prompt_tokens", Json{usage.prompt_tokens});
  details.emplace("completion_tokens", Json{usage.completion_tokens});
  details.emplace("finish", Json{finish});
  if (!ticket.served_by.empty()) {
    details.emplace("upstream", Json{ticket.served_by});
  }
  event.details = Json{std::move(details)};
  audit_.record(std::move(event));
  if (on_served_) {
    on_served_(ticket.model().slot, ticket.model().weights);
  }
}

void Inference::settle(Ticket& ticket, const Error& error) {
  if (std::exchange(ticket.settled, true)) {
    return;
  }
  running_.erase(ticket.meta.id.str());
  ModelMetrics& model = metrics_.model(ticket.model().name());
  ticket.in_flight.end();
  ticket.pay(0);
  ++model.failure[std::string{to_string(error.code())}];
  record_failure(ticket, ticket.model(), ticket.meta.id.str(), error);
}

void Inference::record_failure(const Ticket& ticket,
                               const ServedModel& model,
                               const std::string& request_id,
                               const Error& error) {
  security::AuditEvent event = security::AuditEvent::inference(ticket.caller.principal,
                                                               ticket.caller.authn_method,
                                                               ticket.action,
                                                               ticket.decision,
                                                               object_of(model),
                                                               security::AuditOutcome::kFailure);
  // The code alone: an engine's message might quote the prompt.
  event.reason = std::string{to_string(error.code())};
  event.correlation_id = request_id;
  if (!ticket.served_by.empty()) {
    event.details = Json{Json::Object{{"upstream", Json{ticket.served_by}}}};
  }
  audit_.record(std::move(event));
}

Task<void> Inference::generate(Caller caller, TextJob job, std::shared_ptr<TextSink> sink) {
  try {
    co_await begin_text(std::move(caller), std::move(job), sink);
  } catch (...) {
    // Cancelled while loading: whoever waits for the answer is told.
    sink->failed(Error(Error::Code::kCancelled, "the daemon is stopping"), true);
    throw;
  }
}

Task<void> Inference::begin_text(Caller caller, TextJob job, std::shared_ptr<TextSink> sink) {
  const bool chat = std::holds_alternative<runtime::PromptChat>(job.prompt);
  const char* const what = chat ? "inference.chat" : "inference.generate";
  Result<std::shared_ptr<Ticket>> admitted =
      co_await admit(std::move(caller), std::move(job.call), security::Verb::kInfer, what);
  if (!admitted) {
    sink->failed(admitted.error(), false);
    co_return;
  }
  const std::shared_ptr<Ticket> ticket = *std::move(admitted);
  if (sink->abandoned()) {
    const Error gone(Error::Code::kCancelled, "the client went away");
    settle(*ticket, gone);
    sink->failed(gone, false);
    co_return;
  }
  runtime::GenerateRequest request;
  request.meta = ticket->meta;
  request.prompt = std::move(job.prompt);
  request.sampling = job.sampling;
  request.max_tokens = job.max_tokens;
  request.stop = std::move(job.stop);
  request.grammar = std::move(job.grammar);
  request.response_format = std::move(job.response_format);
  request.log_probs = job.log_probs;
  std::unique_ptr<ChatReader> reader;
  if (chat) {
    auto made = prepare_chat(core_, ticket->lease.model().info(), job.tools, request);
    if (!made) {
      settle(*ticket, made.error());
      sink->failed(made.error(), false);
      co_return;
    }
    reader = *std::move(made);
  }
  auto stream = std::make_shared<TextStream>(
      *this, ticket, sink, std::move(reader), callable_names(job.tools));
  runtime::RequestHandle handle = ticket->lease.model().submit(
      std::move(request), [stream](runtime::Event event) { stream->take(std::move(event)); });
  if (const auto running = running_.find(ticket->meta.id.str()); running != running_.end()) {
    running->second.handle = handle;
  }
  sink->submitted(std::move(handle));
}

Task<Result<Inference::EmbedAnswer>> Inference::embed_as(std::string action,
                                                         Caller caller,
                                                         CallOptions call,
                                                         std::vector<EmbedInput> inputs,
                                                         std::optional<std::string> query) {
  Result<std::shared_ptr<Ticket>> admitted =
      co_await admit(std::move(caller), std::move(call), security::Verb::kEmbed, std::move(action));
  if (!admitted) {
    co_return admitted.error();
  }
  const std::shared_ptr<Ticket> ticket = *std::move(admitted);
  Result<std::vector<std::string>> texts =
      co_await embed_texts(ticket->lease.model(), ticket->meta, std::move(inputs), follow(ticket));
  if (!texts) {
    settle(*ticket, texts.error());
    co_return texts.error();
  }
  runtime::EmbedRequest request;
  request.meta = ticket->meta;
  request.texts = *std::move(texts);
  request.query = std::move(query);
  Result<CountedEmbeddings> result = co_await embed_counted(
      core_.control, ticket->lease.model(), std::move(request), follow(ticket), ticket->served_by);
  if (!result) {
    settle(*ticket, result.error());
    co_return result.error();
  }
  settle(*ticket, result->usage, "done");
  EmbedAnswer answer;
  answer.embeddings = std::move(result->embeddings);
  answer.usage = result->usage;
  answer.model = ticket->lease.served_ptr();
  co_return answer;
}

Task<Result<Inference::ScoreAnswer>> Inference::score(Caller caller,
                                                      CallOptions call,
                                                      std::string prompt,
                                                      std::string continuation) {
  Result<std::shared_ptr<Ticket>> admitted =
      co_await admit(std::move(caller), std::move(call), security::Verb::kInfer, "inference.score");
  if (!admitted) {
    co_return admitted.error();
  }
  const std::shared_ptr<Ticket> ticket = *std::move(admitted);
  // The prompt's own length in tokens tells where the continuation begins.
  std::size_t skip = 0;
  if (!prompt.empty()) {
    runtime::TokenizeRequest count;
    count.meta = ticket->meta;
    count.input = runtime::Prompt{prompt};
    Result<runtime::Tokens> tokens =
        co_await runtime::tokenize(ticket->lease.model(), std::move(count), follow(ticket));
    if (!tokens) {
      settle(*ticket, tokens.error());
      co_return tokens.error();
    }
    skip = tokens->tokens.size();
  }
  runtime::ScoreRequest request;
  request.meta = ticket->meta;
  request.prompt = runtime::Prompt{prompt + continuation};
  Result<runtime::Scores> result =
      co_await runtime::score(ticket->lease.model(), std::move(request), follow(ticket));
  if (!result) {
    settle(*ticket, result.error());
    co_return result.error();
  }
  settle(*ticket, runtime::Usage(), "done");
  ScoreAnswer answer;
  skip = std::min(skip, result->tokens.size());
  answer.tokens.assign(result->tokens.begin() + static_cast<std::ptrdiff_t>(skip),
                       result->tokens.end());
  answer.model = ticket->lease.served_ptr();
  co_return answer;
}

Task<Result<runtime::Tokens>> Inference::tokenize(Caller caller,
                                                  CallOptions call,
                                                  TokenizeInput input) {
  Result<std::shared_ptr<Ticket>> admitted = co_await admit(
      std::move(caller), std::move(call), security::Verb::kTokenize, "inference.tokenize");
  if (!admitted) {
    co_return admitted.error();
  }
  const std::shared_ptr<Ticket> ticket = *std::move(admitted);
  runtime::TokenizeRequest request;
  request.meta = ticket->meta;
  request.input = std::move(input);
  if (auto* chat = std::get_if<runtime::PromptChat>(&request.input)) {
    tell_time(core_, *chat);
  }
  Result<runtime::Tokens> result =
      co_await runtime::tokenize(ticket->lease.model(), std::move(request), follow(ticket));
  if (!result) {
    settle(*ticket, result.error());
    co_return result.error();
  }
  settle(*ticket, runtime::Usage(), "done");
  co_return result;
}

Task<Result<Inference::InferAnswer>> Inference::infer(Caller caller,
                                                      CallOptions call,
                                                      std::vector<runtime::Tensor> inputs,
                                                      std::vector<std::string> outputs) {
  for (const runtime::Tensor& tensor : inputs) {
    if (Result<void> checked = runtime::check_tensor(tensor); !checked) {
      co_return checked.error();
    }
  }
  Result<std::shared_ptr<Ticket>> admitted =
      co_await admit(std::move(caller), std::move(call), security::Verb::kInfer, "inference.infer");
  if (!admitted) {
    co_return admitted.error();
  }
  const std::shared_ptr<Ticket> ticket = *std::move(admitted);
  runtime::InferRequest request;
  request.meta = ticket->meta;
  request.inputs = std::move(inputs);
  request.outputs = std::move(outputs);
  Result<runtime::Tensors> result =
      co_await runtime::infer(ticket->lease.model(), std::move(request), follow(ticket));
  if (!result) {
    settle(*ticket, result.error());
    co_return result.error();
  }
  settle(*ticket, runtime::Usage(), "done");
  InferAnswer answer;
  answer.tensors = *std::move(result);
  answer.model = ticket->lease.served_ptr();
  answer.total = core_.clock.boot_now() - ticket->began;
  co_return answer;
}

bool Inference::cancel(const Caller& caller, const std::string& request_id) {
  const auto found = running_.find(request_id);
  if (found == running_.end() || found->second.principal != caller.principal.to_string()) {
    return false;
  }
  found->second.handle.cancel();
  return true;
}

}  // namespace skerry::agent
