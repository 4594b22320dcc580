// Anthropic's calls over the service layer.

#include <utility>

#include "skerry/agent/anthropic.hpp"

#include "fronts.hpp"
#include "text_call.hpp"

namespace skerry::agent {

Task<bool> anthropic_messages(HttpExchange& exchange, Caller caller) {
  Result<TextRequest> request =
      anthropic::parse_messages_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  std::unique_ptr<TextDialect> dialect =
      anthropic::make_message_dialect("msg_" + exchange.id().substr(4));
  co_return co_await serve_text(
      exchange, std::move(caller), *std::move(request), std::move(dialect));
}

Task<bool> anthropic_count_tokens(HttpExchange& exchange, Caller caller) {
  Result<TextRequest> request =
      anthropic::parse_count_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  // The chat as the model's template renders it: what the same messages would cost.
  TextJob job = text_job_of(*request, 0, exchange.id());
  if (auto* chat = std::get_if<runtime::PromptChat>(&job.prompt);
      chat != nullptr && request->tools.offered()) {
    chat->tools = tools_text(request->tools.tools);
  }
  job.call.watch = std::make_shared<CallWatch>();
  const std::shared_ptr<CallWatch> watch = job.call.watch;
  auto work = exchange.parts().inference.tokenize(
      std::move(caller), std::move(job.call), std::move(job.prompt));
  std::optional<Result<runtime::Tokens>> tokens = co_await exchange.watched(std::move(work), watch);
  if (!tokens) {
    co_return false;
  }
  if (!*tokens) {
    co_return co_await exchange.fail(tokens->error());
  }
  std::string body = anthropic::count_body((*tokens)->tokens.size());
  co_return co_await exchange.json(std::move(body));
}

}  // namespace skerry::agent
