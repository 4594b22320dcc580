#include "http_session.hpp"

#include <array>
#include <utility>

#include "skerry/agent/openai.hpp"

#include "fronts.hpp"

namespace skerry::agent {
namespace {

Task<bool> metrics_page(HttpExchange& exchange, Caller caller) {
  security::Resource none;
  HttpParts& parts = exchange.parts();
  Result<security::Decision> decision = co_await parts.access.authorise(
      std::move(caller), security::Verb::kMetricsRead, std::move(none), "http.metrics");
  if (!decision) {
    co_return co_await exchange.fail(decision.error());
  }
  HttpHeaders headers;
  const Metrics::Format format = Metrics::format_for(exchange.request().accept);
  co_return co_await exchange.answer(200,
                                     Metrics::content_type(format),
                                     parts.metrics.render(parts.gauges(), format),
                                     std::move(headers));
}

using FrontCall = Task<bool> (*)(HttpExchange&, Caller);

struct Route {
  std::string_view method;  // GET takes HEAD too
  std::string_view path;
  // The path is a prefix that something must follow.
  bool prefix;
  FrontCall call;
};

constexpr std::array kRoutes{
    Route{"POST", "/v1/chat/completions", false, openai_chat},
    Route{"POST", "/v1/completions", false, openai_completions},
    Route{"POST", "/v1/embeddings", false, openai_embeddings},
    Route{"POST", "/v1/rerank", false, rerank_documents},
    Route{"POST", "/v2/rerank", false, rerank_documents},
    Route{"POST", "/rerank", false, rerank_documents},
    Route{"GET", "/v1/models", false, openai_models},
    Route{"GET", "/v1/models/", true, openai_model},
    Route{"POST", "/v1/messages", false, anthropic_messages},
    Route{"POST", "/v1/messages/count_tokens", false, anthropic_count_tokens},
    Route{"POST", "/v1/responses", false, openai_responses},
    Route{"POST", "/api/generate", false, ollama_generate},
    Route{"POST", "/api/chat", false, ollama_chat},
    Route{"POST", "/api/embed", false, ollama_embed},
    Route{"POST", "/api/embeddings", false, ollama_embeddings},
    Route{"GET", "/api/version", false, ollama_version},
    Route{"GET", "/api/tags", false, ollama_tags},
    Route{"GET", "/api/ps", false, ollama_ps},
    Route{"POST", "/api/show", false, ollama_show},
    Route{"POST", "/api/pull", false, ollama_pull},
    Route{"DELETE", "/api/delete", false, ollama_delete},
    Route{"POST", "/api/create", false, ollama_change},
    Route{"POST", "/api/push", false, ollama_change},
    Route{"POST", "/api/copy", false, ollama_change},
    Route{"POST", "/api/blobs/", true, ollama_change},
    Route{"GET", "/v2", false, oip_server},
    Route{"GET", "/v2/models/", true, oip_model_get},
    Route{"POST", "/v2/models/", true, oip_model_post},
    Route{"POST", "/v2/repository/index", false, oip_index},
    Route{"POST", "/v2/repository/models/", true, oip_repository},
    Route{"GET", "/metrics", false, metrics_page},
};

struct OpenPage {
  std::string_view path;
  std::string_view type;
  std::string_view body;
};

constexpr std::array kOpenPages{
    OpenPage{"/health/live", kJsonType, "{\"status\":\"ok\"}"},
    OpenPage{"/health/ready", kJsonType, "{\"status\":\"ok\"}"},
    OpenPage{"/v2/health/live", kJsonType, "{\"live\":true}"},
    OpenPage{"/v2/health/ready", kJsonType, "{\"ready\":true}"},
    // What Ollama's clients look for before they ask anything.
    OpenPage{"/", "text/plain; charset=utf-8", "Ollama is running"},
};

bool path_matches(const Route& route, std::string_view path) {
  return route.prefix ? path.starts_with(route.path) && path.size() > route.path.size()
                      : path == route.path;
}

class HttpSession {
 public:
  HttpSession(HttpParts& parts,
              std::unique_ptr<HttpConnection> connection,
              std::optional<Caller> caller)
      : parts_(parts), connection_(std::move(connection)), socket_caller_(std::move(caller)) {}

  Task<void> run();

 private:
  Task<bool> handle(HttpExchange& exchange);
  Task<bool> route(HttpExchange& exchange, Caller caller);
  Task<Result<Caller>> authenticate(const HttpExchange& exchange);
  [[nodiscard]] std::string new_id() { return "req-" + parts_.core.random.hex(12); }

  HttpParts& parts_;
  std::unique_ptr<HttpConnection> connection_;
  std::optional<Caller> socket_caller_;
};

Task<void> HttpSession::run() {
  while (true) {
    Result<std::optional<HttpRequest>> next = co_await connection_->read();
    if (!next) {
      HttpRequest unread;
      unread.keep_alive = false;
      HttpExchange exchange(parts_, *connection_, std::move(unread), new_id());
      const bool header = next.error().message().starts_with("the header");
      const bool late = next.error().code() == Error::Code::kDeadlineExceeded;
      const int status = header ? 431 : late ? 408 : openai::http_error(next.error().code()).status;
      co_await exchange.fail_with(status, next.error());
      break;
    }
    if (!*next) {
      break;
    }
    HttpExchange exchange(parts_, *connection_, *std::move(*next), new_id());
    if (!co_await handle(exchange) || !exchange.keep_alive()) {
      break;
    }
  }
  connection_->close();
}

Task<bool> HttpSession::handle(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  if (!socket_caller_) {
    const std::vector<std::string>& allowed = parts_.core.settings->http().allowed_hosts;
    if (!host_allowed(request.host, allowed) || !origin_allowed(request.origin, allowed)) {
      const Error foreign(Error::Code::kPermissionDenied,
                          "Host or Origin names another site; see http.allowed_hosts");
      co_return co_await exchange.fail(foreign);
    }
  }
  // Said to everybody on this machine: that the daemon answers.
  for (const OpenPage& page : kOpenPages) {
    if (request.path == page.path && (request.method == "GET" || request.method == "HEAD")) {
      HttpHeaders none;
      co_return co_await exchange.answer(200, page.type, std::string(page.body), std::move(none));
    }
  }
  Result<Caller> caller = co_await authenticate(exchange);
  if (!caller) {
    co_return co_await exchange.fail(caller.error());
  }
  co_return co_await route(exchange, *std::move(caller));
}

Task<Result<Caller>> HttpSession::authenticate(const HttpExchange& exchange) {
  if (socket_caller_) {
    co_return *socket_caller_;
  }
  constexpr std::string_view kBearer = "Bearer ";
  const HttpRequest& request = exchange.request();
  std::string_view secret = request.api_key;
  if (request.authorization.starts_with(kBearer)) {
    secret = std::string_view(request.authorization).substr(kBearer.size());
  }
  if (secret.empty()) {
    co_return Error(Error::Code::kUnauthenticated,
                    "a bearer token is needed: Authorization: Bearer <token>");
  }
  Result<security::Principal> principal = parts_.tokens.verify(secret, parts_.core.clock);
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

Task<bool> HttpSession::route(HttpExchange& exchange, Caller caller) {
  const HttpRequest& request = exchange.request();
  std::string_view method = request.method;
  if (method == "HEAD") {
    method = "GET";
  }
  bool known = false;
  for (const Route& one : kRoutes) {
    if (!path_matches(one, request.path)) {
      continue;
    }
    known = true;
    if (one.method == method) {
      co_return co_await one.call(exchange, std::move(caller));
    }
  }
  if (known) {
    const Error refused(Error::Code::kInvalidArgument,
                        request.method + " is not offered for " + request.path);
    co_return co_await exchange.fail_with(405, refused);
  }
  const Error nothing(Error::Code::kNotFound,
                      "there is nothing at " + request.method + " " + request.path);
  co_return co_await exchange.fail(nothing);
}

}  // namespace

Task<void> serve_http(HttpParts& parts,
                      std::unique_ptr<HttpConnection> connection,
                      std::optional<Caller> caller) {
  HttpSession session(parts, std::move(connection), std::move(caller));
  co_await session.run();
}

}  // namespace skerry::agent
