// OpenAI's Responses call over the service layer.

#include <utility>

#include "skerry/agent/openai_responses.hpp"

#include "fronts.hpp"
#include "text_call.hpp"

namespace skerry::agent {

Task<bool> openai_responses(HttpExchange& exchange, Caller caller) {
  Result<TextRequest> request =
      openai::parse_responses_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  std::unique_ptr<TextDialect> dialect =
      openai::make_responses_dialect(*request, exchange.id().substr(4), exchange.now());
  co_return co_await serve_text(
      exchange, std::move(caller), *std::move(request), std::move(dialect));
}

}  // namespace skerry::agent
