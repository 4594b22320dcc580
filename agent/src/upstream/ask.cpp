// What is exchanged with one server for one request.

#include <algorithm>
#include <utility>

#include "upstreams_impl.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr std::size_t kSaltDigits = 32;

// The same for all requests of a principal, and nobody's name.
std::string salt_of(const std::string& principal) {
  return Digest::of("skerry cache salt\n" + principal).hex().substr(0, kSaltDigits);
}

// Not every server can be told to make one call alone: of those that make more the first counts.
std::size_t most_calls(const runtime::GenerateRequest& request) {
  const auto* chat = std::get_if<runtime::PromptChat>(&request.prompt);
  if (chat == nullptr || chat->tools.empty()) {
    return 0;
  }
  return chat->rules.parallel ? AnswerLimits::kCalls : 1;
}

}  // namespace

UpstreamsImpl::Attempt UpstreamsImpl::broken(const Call& call,
                                             const Error& error,
                                             Blame blame) const {
  Attempt attempt;
  attempt.error = error;
  attempt.outcome.blame = call.cancelled ? Blame::kRequest : blame;
  attempt.outcome.problem = error.message();
  return attempt;
}

UpstreamsImpl::Attempt UpstreamsImpl::unsent(const Call& call, const Error& error) const {
  if (error.code() != Error::Code::kConfigInvalid) {
    return broken(call, error, Blame::kLost);
  }
  const Error told(Error::Code::kUnavailable, std::string(kNoKey));
  Attempt attempt = broken(call, told, Blame::kSettings);
  attempt.outcome.problem = error.message();
  attempt.outcome.told = told.message();
  return attempt;
}

UpstreamsImpl::Attempt UpstreamsImpl::faulty(const Fault& fault) const {
  Attempt attempt;
  attempt.error = fault.error;
  attempt.outcome.blame = fault.blame;
  attempt.outcome.problem =
      fault.blame == Blame::kServer ? "failed at three requests in a row" : fault.brief;
  return attempt;
}

void UpstreamsImpl::pass_on(Call& call, TextAnswer::Piece piece) const {
  if (!call.started) {
    call.started = true;
    call.first_piece = clock_.boot_now() - call.asked;
    runtime::Started started;
    started.queue_wait = call.asked - call.began;
    call.sink(started);
  }
  call.pieces += piece.tokens;
  if (!piece.reasoning.empty()) {
    runtime::ChatPart thoughts;
    thoughts.kind = runtime::ChatPart::Kind::kReasoning;
    thoughts.text = std::move(piece.reasoning);
    call.sink(std::move(thoughts));
  }
  if (!piece.delta.tokens.empty()) {
    call.sink(std::move(piece.delta));
  }
  for (runtime::ChatPart& part : piece.calls) {
    call.sink(std::move(part));
  }
}

// A request that had started ends, one that had not fails.
void UpstreamsImpl::end_cancelled(Call& call) const {
  if (call.started) {
    runtime::Done done;
    done.reason = runtime::FinishReason::kCancelled;
    finish(call, std::move(done));
    return;
  }
  runtime::Failure failure;
  failure.error = Error{Error::Code::kCancelled, "the request was cancelled"};
  failure.served_by = call.served_by;
  call.end(std::move(failure));
}

void UpstreamsImpl::finish(Call& call, runtime::Done done) const {
  const BootTime now = clock_.boot_now();
  const bool text = std::holds_alternative<runtime::GenerateRequest>(call.request);
  if (!call.started && text) {
    call.started = true;
    call.first_piece = now - call.asked;
    runtime::Started started;
    started.queue_wait = call.asked - call.began;
    call.sink(started);
  }
  if (done.usage.completion_tokens == 0 && text) {
    // Of an answer that was cancelled: what came of it counts.
    done.usage.completion_tokens = call.pieces;
  }
  if (done.usage.prompt_tokens == 0) {
    done.usage.prompt_tokens = estimated_tokens(prompt_bytes(call.request));
  }
  done.timing.queue = call.asked - call.began;
  done.timing.prefill = call.first_piece;
  done.timing.decode = now - call.asked - call.first_piece;
  done.timing.total = now - call.began;
  done.served_by = call.served_by;
  call.end(std::move(done));
}

Task<Result<void>> UpstreamsImpl::post(CallPtr call,
                                       std::size_t endpoint,
                                       Exchange& exchange,
                                       Body body) {
  const Endpoint& server = endpoints_[endpoint];
  Result<std::string> key = co_await authorization(endpoint);
  if (!key) {
    co_return key.error();
  }
  HttpAsk ask;
  ask.method = "POST";
  ask.target = server.url.path + "/" + body.path;
  ask.host = server.url.authority();
  ask.authorization = *std::move(key);
  ask.accept = body.path == "embeddings" ? "application/json" : "text/event-stream";
  ask.body = std::move(body.json);
  Result<void> connected = co_await exchange.connect(left(*call, options_.connect_timeout));
  if (!connected) {
    co_return connected.error();
  }
  // Where a prompt went is on record, also if another server answers in the end.
  call->served_by += (call->served_by.empty() ? "" : ", ") + server.options.name + "/" +
                     std::string(to_string(server.options.tier));
  co_return co_await exchange.send(write_request(ask), left(*call, options_.idle_timeout));
}

Task<UpstreamsImpl::Attempt> UpstreamsImpl::read_refusal(CallPtr call, Exchange& exchange) {
  std::string body = exchange.reply().take_body();
  bool more = !exchange.reply().complete();
  const BootTime until = clock_.boot_now() + options_.idle_timeout;
  while (more && body.size() < AnswerLimits::kErrorBytes) {
    Result<bool> read = co_await exchange.read(left(*call, until - clock_.boot_now()));
    // The status alone says enough.
    more = read && *read;
    body += exchange.reply().take_body();
  }
  Attempt attempt = faulty(fault_of(exchange.reply().status(), body));
  attempt.outcome.retry_after = std::chrono::seconds(exchange.reply().retry_after());
  co_return attempt;
}

std::optional<UpstreamsImpl::Attempt> UpstreamsImpl::take_events(
    Call& call, TextAnswer& answer, const std::vector<SseEvent>& events) const {
  for (const SseEvent& event : events) {
    if (answer.complete() || call.cancelled) {
      break;
    }
    Result<TextAnswer::Piece> piece = answer.take(event);
    if (!piece) {
      return faulty(answer.fault());
    }
    if (!piece->empty) {
      pass_on(call, *std::move(piece));
    }
  }
  return std::nullopt;
}

Task<UpstreamsImpl::Attempt> UpstreamsImpl::ask_text(CallPtr call,
                                                     std::size_t endpoint,
                                                     Exchange& exchange) {
  const Endpoint& server = endpoints_[endpoint];
  const auto& request = std::get<runtime::GenerateRequest>(call->request);
  Body body = render(*server.quirks,
                     *call->spec,
                     call->spec->name_at(server.options.kind),
                     salt_of(request.meta.principal),
                     request);
  Result<void> sent = co_await post(call, endpoint, exchange, std::move(body));
  if (!sent) {
    co_return unsent(*call, sent.error());
  }
  SseReader sse;
  TextAnswer answer(request.log_probs.has_value(), most_calls(request));
  std::vector<SseEvent> events;
  bool more = true;
  // Servers send the head before they have a place for the request, or have read its prompt.
  bool begun = false;
  while (more && !answer.complete()) {
    const auto limit = left(*call, begun ? options_.idle_timeout : options_.first_byte_timeout);
    Result<bool> read = co_await exchange.read(limit);
    if (!read) {
      co_return broken(*call, read.error(), Blame::kLost);
    }
    more = *read;
    if (!exchange.reply().has_head()) {
      continue;
    }
    if (exchange.reply().status() != 200) {
      co_return co_await read_refusal(call, exchange);
    }
    if (exchange.reply().content_type() != "text/event-stream") {
      const Error error(Error::Code::kUnavailable, "the upstream answers with no event stream");
      co_return broken(*call, error, Blame::kSettings);
    }
    events.clear();
    Result<void> fed = sse.feed(exchange.reply().take_body(), events);
    if (!fed) {
      co_return broken(*call, fed.error(), Blame::kServer);
    }
    if (!more) {
      sse.finish(events);
    }
    begun = begun || !events.empty();
    if (std::optional<Attempt> fault = take_events(*call, answer, events)) {
      co_return *std::move(fault);
    }
  }
  Result<runtime::Done> done = answer.end();
  if (!done) {
    co_return faulty(answer.fault());
  }
  finish(*call, *std::move(done));
  Attempt attempt;
  attempt.over = true;
  co_return attempt;
}

Task<UpstreamsImpl::Attempt> UpstreamsImpl::ask_embeddings(CallPtr call,
                                                           std::size_t endpoint,
                                                           Exchange& exchange) {
  const Endpoint& server = endpoints_[endpoint];
  const auto& request = std::get<runtime::EmbedRequest>(call->request);
  Body body = render(call->spec->name_at(server.options.kind), request);
  Result<void> sent = co_await post(call, endpoint, exchange, std::move(body));
  if (!sent) {
    co_return unsent(*call, sent.error());
  }
  bool more = true;
  while (more) {
    Result<bool> read = co_await exchange.read(left(*call, options_.first_byte_timeout));
    if (!read) {
      co_return broken(*call, read.error(), Blame::kLost);
    }
    more = *read;
    if (exchange.reply().has_head() && exchange.reply().status() != 200) {
      co_return co_await read_refusal(call, exchange);
    }
  }
  Result<EmbedAnswer> answer = read_embeddings(exchange.reply().take_body(), request.texts.size());
  if (!answer) {
    const Error error(Error::Code::kUnavailable, answer.error().message());
    co_return broken(*call, error, Blame::kServer);
  }
  call->sink(std::move(answer->embeddings));
  runtime::Done done;
  done.usage = answer->usage;
  finish(*call, std::move(done));
  Attempt attempt;
  attempt.over = true;
  co_return attempt;
}

}  // namespace skerry::agent::upstream
