#include "http_session.hpp"

#include <utility>

#include "skerry/agent/http_text.hpp"
#include "skerry/agent/openai.hpp"
#include "skerry/agent/quota_book.hpp"

#include "chat_stream.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kModels = "/v1/models/";
// How soon a client that went away is noticed while nothing is written to it.
constexpr std::chrono::milliseconds kGoneCheck{250};

class HttpSession {
 public:
  HttpSession(HttpParts& parts,
              std::unique_ptr<HttpConnection> connection,
              std::optional<Caller> caller)
      : parts_(parts), connection_(std::move(connection)), socket_caller_(std::move(caller)) {}

  Task<void> run();

 private:
  Task<bool> handle();
  Task<bool> route(Caller caller);
  Task<Result<Caller>> authenticate();
  Task<bool> models(Caller caller);
  Task<bool> model(Caller caller);
  Task<bool> metrics(Caller caller);
  Task<bool> chat(Caller caller);
  Task<bool> chat_whole(std::shared_ptr<ChatStream> stream, openai::Answer answer);
  Task<bool> chat_events(std::shared_ptr<ChatStream> stream, openai::Answer answer);
  Task<bool> answer(int status, std::string_view type, std::string body, HttpHeaders headers);
  Task<bool> fail(Error error);
  Task<bool> fail_with(int status, Error error);
  [[nodiscard]] HttpHeaders with_id() const;

  HttpParts& parts_;
  std::unique_ptr<HttpConnection> connection_;
  std::optional<Caller> socket_caller_;
  HttpRequest request_;
  std::string request_id_;
};

Task<void> HttpSession::run() {
  while (true) {
    Result<std::optional<HttpRequest>> next = co_await connection_->read();
    if (!next) {
      request_.keep_alive = false;
      request_id_ = "req-" + parts_.core.random.hex(12);
      const bool header = next.error().message().starts_with("the header");
      const bool late = next.error().code() == Error::Code::kDeadlineExceeded;
      const int status = header ? 431 : late ? 408 : openai::http_error(next.error().code()).status;
      co_await fail_with(status, next.error());
      break;
    }
    if (!*next) {
      break;
    }
    request_ = *std::move(*next);
    request_id_ = "req-" + parts_.core.random.hex(12);
    if (!co_await handle() || !request_.keep_alive) {
      break;
    }
  }
  connection_->close();
}

HttpHeaders HttpSession::with_id() const {
  HttpHeaders headers;
  headers.emplace_back("x-request-id", request_id_);
  return headers;
}

Task<bool> HttpSession::answer(int status,
                               std::string_view type,
                               std::string body,
                               HttpHeaders headers) {
  std::string bytes = http_response(status,
                                    type,
                                    headers,
                                    request_.method == "HEAD" ? std::string_view() : body,
                                    request_.keep_alive);
  co_return co_await connection_->write(std::move(bytes));
}

Task<bool> HttpSession::fail_with(int status, Error error) {
  const openai::HttpError how = openai::http_error(error.code());
  HttpHeaders headers = with_id();
  if (how.retry_after > 0) {
    const auto wait = quota_wait(error).value_or(std::chrono::seconds(how.retry_after));
    headers.emplace_back("retry-after", std::to_string(wait.count()));
  } else if (status >= 500 && !how.retryable) {
    headers.emplace_back("x-should-retry", "false");
  }
  if (status == 401) {
    headers.emplace_back("www-authenticate", "Bearer realm=\"skerry\"");
  }
  co_return co_await answer(status, kJson, openai::error_body(error), std::move(headers));
}

Task<bool> HttpSession::fail(Error error) {
  const int status = openai::http_error(error.code()).status;
  co_return co_await fail_with(status, std::move(error));
}

Task<bool> HttpSession::handle() {
  const bool tcp = !socket_caller_;
  if (tcp) {
    const std::vector<std::string>& allowed = parts_.core.settings->http().allowed_hosts;
    if (!host_allowed(request_.host, allowed) || !origin_allowed(request_.origin, allowed)) {
      const Error foreign(Error::Code::kPermissionDenied,
                          "Host or Origin names another site; see http.allowed_hosts");
      co_return co_await fail(foreign);
    }
  }
  if (request_.path == "/health/live" || request_.path == "/health/ready") {
    std::string body("{\"status\":\"ok\"}");
    HttpHeaders headers = with_id();
    co_return co_await answer(200, kJson, std::move(body), std::move(headers));
  }
  Result<Caller> caller = co_await authenticate();
  if (!caller) {
    co_return co_await fail(caller.error());
  }
  co_return co_await route(*std::move(caller));
}

Task<Result<Caller>> HttpSession::authenticate() {
  if (socket_caller_) {
    co_return *socket_caller_;
  }
  constexpr std::string_view kBearer = "Bearer ";
  if (!request_.authorization.starts_with(kBearer)) {
    co_return Error(Error::Code::kUnauthenticated,
                    "a bearer token is needed: Authorization: Bearer <token>");
  }
  Result<security::Principal> principal = parts_.tokens.verify(
      std::string_view(request_.authorization).substr(kBearer.size()), parts_.core.clock);
  Caller caller;
  caller.authn_method = "token";
  if (!principal) {
    security::AuditEvent event;
    event.audit_class = security::AuditClass::kAuthentication;
    event.action = "token.verify";
    event.authn_method = "token";
    event.outcome = security::AuditOutcome::kDenied;
    event.reason = "unauthenticated";
    Result<void> recorded = co_await parts_.audit.record_durable(std::move(event));
    if (!recorded) {
      parts_.core.log.error("audit.denial_not_recorded", recorded.error());
    }
    co_return principal.error();
  }
  caller.principal = *std::move(principal);
  co_return caller;
}

Task<bool> HttpSession::route(Caller caller) {
  const bool get = request_.method == "GET" || request_.method == "HEAD";
  const std::string& path = request_.path;
  const bool known = path == "/v1/models" || path.starts_with(kModels) || path == "/metrics" ||
                     path == "/v1/chat/completions";
  if (path == "/v1/chat/completions" && request_.method == "POST") {
    co_return co_await chat(std::move(caller));
  }
  if (path == "/v1/models" && get) {
    co_return co_await models(std::move(caller));
  }
  if (path.starts_with(kModels) && path.size() > kModels.size() && get) {
    co_return co_await model(std::move(caller));
  }
  if (path == "/metrics" && get) {
    co_return co_await metrics(std::move(caller));
  }
  if (known) {
    const Error method(Error::Code::kInvalidArgument,
                       request_.method + " is not offered for " + path);
    co_return co_await fail_with(405, method);
  }
  const Error nothing(Error::Code::kNotFound,
                      "there is nothing at " + request_.method + " " + path);
  co_return co_await fail(nothing);
}

openai::ModelEntry entry_of(const ServedModel& model) {
  openai::ModelEntry entry;
  entry.id = model.name();
  entry.created = std::chrono::duration_cast<std::chrono::seconds>(
                      model.generation.activated_at.time_since_epoch())
                      .count();
  entry.owned_by = model.manifest->manifest.model.team;
  return entry;
}

Task<bool> HttpSession::models(Caller caller) {
  std::vector<openai::ModelEntry> entries;
  for (const ServedModelPtr& model : parts_.host.served()) {
    security::Resource resource;
    resource.model = model->name();
    resource.variant = model->variant.name;
    if (parts_.access.decide(caller.principal, security::Verb::kList, resource).allowed) {
      entries.push_back(entry_of(*model));
    }
  }
  HttpHeaders headers = with_id();
  co_return co_await answer(200, kJson, openai::model_list_body(entries), std::move(headers));
}

Task<bool> HttpSession::model(Caller caller) {
  Result<std::string> name = percent_decode(std::string_view(request_.path).substr(kModels.size()));
  if (!name) {
    co_return co_await fail(name.error());
  }
  Result<ServedModelPtr> found =
      co_await parts_.inference.find(std::move(caller), *name, security::Verb::kList, "http.model");
  if (!found) {
    co_return co_await fail(found.error());
  }
  HttpHeaders headers = with_id();
  co_return co_await answer(200, kJson, openai::model_body(entry_of(**found)), std::move(headers));
}

Task<bool> HttpSession::metrics(Caller caller) {
  security::Resource none;
  Result<security::Decision> decision = co_await parts_.access.authorise(
      std::move(caller), security::Verb::kMetricsRead, std::move(none), "http.metrics");
  if (!decision) {
    co_return co_await fail(decision.error());
  }
  HttpHeaders headers = with_id();
  co_return co_await answer(200,
                            "text/plain; version=0.0.4; charset=utf-8",
                            parts_.metrics.render(parts_.gauges()),
                            std::move(headers));
}

TextJob job_of(const openai::ChatRequest& request, const std::string& id) {
  TextJob job;
  job.call.reference = request.model;
  job.call.request_id = id;
  runtime::PromptChat chat;
  for (const openai::ChatMessage& message : request.messages) {
    chat.messages.push_back({message.role, message.content});
  }
  job.prompt = std::move(chat);
  // OpenAI's defaults, not ours.
  job.sampling.temperature = static_cast<float>(request.temperature.value_or(1.0));
  job.sampling.top_p = static_cast<float>(request.top_p.value_or(1.0));
  job.sampling.frequency_penalty = static_cast<float>(request.frequency_penalty.value_or(0.0));
  job.sampling.presence_penalty = static_cast<float>(request.presence_penalty.value_or(0.0));
  job.sampling.seed = request.seed;
  job.max_tokens = request.max_tokens;
  job.stop = request.stop;
  return job;
}

Task<bool> HttpSession::chat(Caller caller) {
  Result<openai::ChatRequest> request =
      openai::parse_chat_request(request_.body, parts_.core.settings->http().max_body.bytes);
  if (!request) {
    co_return co_await fail(request.error());
  }
  openai::Answer answer;
  answer.id = "chatcmpl-" + request_id_.substr(4);
  answer.created = std::chrono::duration_cast<std::chrono::seconds>(
                       parts_.core.clock.wall_now().time_since_epoch())
                       .count();
  answer.include_usage = request->include_usage;
  auto stream = std::make_shared<ChatStream>(parts_.core);
  TextJob job = job_of(*request, request_id_);
  bool gone = false;
  try {
    co_await parts_.inference.generate(std::move(caller), std::move(job), stream);
    bool answered = false;
    if (request->stream) {
      answered = co_await chat_events(stream, std::move(answer));
    } else {
      answered = co_await chat_whole(stream, std::move(answer));
    }
    gone = !answered;
  } catch (...) {
    stream->abandon();
    throw;
  }
  if (gone) {
    stream->abandon();
  }
  co_return !gone;
}

std::string_view finish_of(const runtime::Done& done) {
  return done.reason == runtime::FinishReason::kLength ? "length" : "stop";
}

openai::Usage usage_of(const runtime::Done& done) {
  openai::Usage usage;
  usage.prompt_tokens = done.usage.prompt_tokens;
  usage.completion_tokens = done.usage.completion_tokens;
  usage.cached_tokens = done.usage.cached_tokens;
  return usage;
}

Task<bool> HttpSession::chat_whole(std::shared_ptr<ChatStream> stream, openai::Answer answer) {
  std::string text;
  while (!stream->ended()) {
    co_await stream->wait(kGoneCheck);
    text += stream->take_text();
    if (connection_->peer_gone()) {
      co_return false;
    }
  }
  text += stream->take_text();
  if (stream->error()) {
    co_return co_await fail(*stream->error());
  }
  answer.model = stream->model();
  std::string body = openai::completion_body(
      answer, text, finish_of(*stream->result()), usage_of(*stream->result()));
  HttpHeaders headers = with_id();
  co_return co_await this->answer(200, kJson, std::move(body), std::move(headers));
}

// What has come since the last call, as server-sent events; with `last`, how it ended too.
std::string events_of(ChatStream& stream, const openai::Answer& answer, bool last) {
  std::string events;
  if (const std::string text = stream.take_text(); !text.empty()) {
    events += openai::text_event(answer, text);
  }
  if (!last) {
    return events;
  }
  if (stream.error()) {
    events += openai::error_event(*stream.error());
  } else {
    events += openai::finish_event(answer, finish_of(*stream.result()));
    if (answer.include_usage) {
      events += openai::usage_event(answer, usage_of(*stream.result()));
    }
  }
  events += openai::done_event();
  return events;
}

Task<bool> HttpSession::chat_events(std::shared_ptr<ChatStream> stream, openai::Answer answer) {
  // The status line waits for the first event: what fails before it is an ordinary error.
  while (!stream->has_started() && !stream->ended()) {
    co_await stream->wait(kGoneCheck);
    if (connection_->peer_gone()) {
      co_return false;
    }
  }
  if (stream->error() && !stream->has_started()) {
    co_return co_await fail(*stream->error());
  }
  answer.model = stream->model();
  const bool chunked = !request_.http_1_0;
  if (!chunked) {
    request_.keep_alive = false;
  }
  std::string head =
      http_stream_head(200, "text/event-stream; charset=utf-8", with_id(), request_.keep_alive);
  if (!chunked) {
    head = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n";
  }
  const auto pack = [chunked](std::string events) {
    return chunked ? http_chunk(events) : std::move(events);
  };
  head += pack(openai::role_event(answer));
  if (!co_await connection_->write(std::move(head))) {
    co_return false;
  }
  while (true) {
    const bool last = stream->ended();
    std::string bytes = pack(events_of(*stream, answer, last));
    if (last && chunked) {
      bytes += http_last_chunk();
    }
    if (!bytes.empty() && !co_await connection_->write(std::move(bytes))) {
      co_return false;
    }
    if (last) {
      co_return true;
    }
    co_await stream->wait(kGoneCheck);
    if (connection_->peer_gone()) {
      co_return false;
    }
  }
}

}  // namespace

Task<void> serve_http(HttpParts& parts,
                      std::unique_ptr<HttpConnection> connection,
                      std::optional<Caller> caller) {
  HttpSession session(parts, std::move(connection), std::move(caller));
  co_await session.run();
}

}  // namespace skerry::agent
