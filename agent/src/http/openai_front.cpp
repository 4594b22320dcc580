// OpenAI's calls over the service layer.

#include <utility>

#include "skerry/agent/anthropic.hpp"
#include "skerry/agent/http_text.hpp"
#include "skerry/agent/openai.hpp"

#include "fronts.hpp"
#include "text_call.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kModelPath = "/v1/models/";

openai::ModelEntry entry_of(const ServedModel& model) {
  openai::ModelEntry entry;
  entry.id = model.name();
  entry.created = std::chrono::duration_cast<std::chrono::seconds>(
                      model.generation.activated_at.time_since_epoch())
                      .count();
  entry.owned_by = model.manifest->manifest.model.team;
  return entry;
}

openai::Answer answer_of(const HttpExchange& exchange, const std::string& prefix) {
  openai::Answer answer;
  answer.id = prefix + exchange.id().substr(4);
  answer.created = exchange.now();
  return answer;
}

}  // namespace

Task<bool> openai_models(HttpExchange& exchange, Caller caller) {
  std::vector<openai::ModelEntry> entries;
  for (const ServedModelPtr& model : exchange.parts().host.served()) {
    security::Resource resource;
    resource.model = model->name();
    resource.variant = model->variant.name;
    const Access& access = exchange.parts().access;
    if (access.decide(caller.principal, security::Verb::kList, resource).allowed) {
      entries.push_back(entry_of(*model));
    }
  }
  const bool anthropic = exchange.style() == ApiStyle::kAnthropic;
  std::string body =
      anthropic ? anthropic::model_list_body(entries) : openai::model_list_body(entries);
  co_return co_await exchange.json(std::move(body));
}

Task<bool> openai_model(HttpExchange& exchange, Caller caller) {
  Result<std::string> name =
      percent_decode(std::string_view(exchange.request().path).substr(kModelPath.size()));
  if (!name) {
    co_return co_await exchange.fail(name.error());
  }
  Result<ServedModelPtr> found = co_await exchange.parts().inference.find(
      std::move(caller), *name, security::Verb::kList, "http.model");
  if (!found) {
    co_return co_await exchange.fail(found.error());
  }
  const openai::ModelEntry entry = entry_of(**found);
  const bool anthropic = exchange.style() == ApiStyle::kAnthropic;
  std::string body = anthropic ? anthropic::model_body(entry) : openai::model_body(entry);
  co_return co_await exchange.json(std::move(body));
}

Task<bool> openai_chat(HttpExchange& exchange, Caller caller) {
  Result<openai::OpenAiText> request =
      openai::parse_chat_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  std::unique_ptr<TextDialect> dialect =
      openai::make_chat_dialect(*request, answer_of(exchange, "chatcmpl-"));
  co_return co_await serve_text(
      exchange, std::move(caller), std::move(request->text), std::move(dialect));
}

Task<bool> openai_completions(HttpExchange& exchange, Caller caller) {
  Result<openai::OpenAiText> request =
      openai::parse_completion_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  std::unique_ptr<TextDialect> dialect =
      openai::make_completion_dialect(*request, answer_of(exchange, "cmpl-"));
  co_return co_await serve_text(
      exchange, std::move(caller), std::move(request->text), std::move(dialect));
}

Task<bool> openai_embeddings(HttpExchange& exchange, Caller caller) {
  Result<openai::EmbeddingsRequest> request =
      openai::parse_embeddings_request(exchange.request().body, exchange.max_body());
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  CallOptions call;
  call.reference = request->model;
  call.request_id = exchange.id();
  call.watch = std::make_shared<CallWatch>();
  const std::shared_ptr<CallWatch> watch = call.watch;
  auto work = exchange.parts().inference.embed(
      std::move(caller), std::move(call), std::move(request->inputs));
  std::optional<Result<Inference::EmbedAnswer>> answer =
      co_await exchange.watched(std::move(work), watch);
  if (!answer) {
    co_return false;
  }
  if (!*answer) {
    co_return co_await exchange.fail(answer->error());
  }
  const std::vector<std::vector<float>>& vectors = (*answer)->embeddings.vectors;
  if (request->dimensions && (vectors.empty() || *request->dimensions != vectors[0].size())) {
    const Error cut(Error::Code::kInvalidArgument,
                    "dimensions: this model's embeddings have " +
                        std::to_string(vectors.empty() ? 0 : vectors[0].size()) +
                        " and are not made to be cut");
    co_return co_await exchange.fail(cut);
  }
  std::string body = openai::embeddings_body(
      (*answer)->model->name(), vectors, request->base64, (*answer)->usage.prompt_tokens);
  co_return co_await exchange.json(std::move(body));
}

}  // namespace skerry::agent
