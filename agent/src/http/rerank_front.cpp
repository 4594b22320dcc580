// Reranking over the service layer.

#include <memory>
#include <utility>

#include "skerry/agent/rerank.hpp"

#include "fronts.hpp"

namespace skerry::agent {

Task<bool> rerank_documents(HttpExchange& exchange, Caller caller) {
  Result<rerank::Request> request = rerank::parse(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  CallOptions call;
  call.reference = request->model;
  call.request_id = exchange.id();
  call.watch = std::make_shared<CallWatch>();
  const std::shared_ptr<CallWatch> watch = call.watch;
  std::vector<std::string> documents = request->documents;
  auto work = exchange.parts().inference.rerank(
      std::move(caller), std::move(call), request->query, std::move(documents));
  std::optional<Result<Inference::RerankAnswer>> found =
      co_await exchange.watched(std::move(work), watch);
  if (!found) {
    co_return false;
  }
  if (!*found) {
    co_return co_await exchange.fail(found->error());
  }
  rerank::Answer answer;
  answer.id = "rerank-" + exchange.id().substr(4);
  answer.model = (*found)->model->name();
  answer.relevances = std::move((*found)->relevances);
  answer.prompt_tokens = (*found)->usage.prompt_tokens;
  co_return co_await exchange.json(rerank::answer_body(*request, answer));
}

}  // namespace skerry::agent
