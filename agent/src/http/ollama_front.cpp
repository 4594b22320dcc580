// Ollama's generation and embedding calls over the service layer.

#include <utility>

#include "skerry/agent/ollama.hpp"

#include "fronts.hpp"
#include "text_call.hpp"

namespace skerry::agent {
namespace {

// A call without a prompt: the model comes into memory, or leaves it.
Task<bool> load_or_unload(HttpExchange& exchange,
                          Caller caller,
                          ollama::OllamaText request,
                          bool chat) {
  HttpParts& parts = exchange.parts();
  const security::Verb verb = request.unload ? security::Verb::kUnload : security::Verb::kLoad;
  const char* const action = request.unload ? "model.unload" : "model.load";
  Result<ServedModelPtr> model =
      co_await parts.inference.find(std::move(caller), request.text.model, verb, action);
  if (!model) {
    co_return co_await exchange.fail(model.error());
  }
  if (request.unload) {
    co_await parts.host.unload(*model);
  } else {
    Result<ModelHost::Lease> lease = co_await parts.host.acquire(*model);
    if (!lease) {
      co_return co_await exchange.fail(lease.error());
    }
  }
  std::string line = ollama::loaded_line(
      (*model)->name(), parts.core.clock.wall_now(), chat, request.unload ? "unload" : "load");
  HttpHeaders none;
  const std::string_view type = request.text.stream ? ollama::kLines : kJsonType;
  co_return co_await exchange.answer(200, type, std::move(line), std::move(none));
}

// keep_alive 0: the model leaves once its answer is given, if the caller may say so and nobody else
// is being answered.
Task<void> unload_if_idle(HttpParts& parts, Caller caller, std::string reference) {
  Result<registry::ModelReference> parsed = registry::ModelReference::parse(reference);
  if (!parsed) {
    co_return;
  }
  Result<ServedModelPtr> model = parts.host.resolve(*parsed);
  if (!model) {
    co_return;
  }
  security::Resource resource;
  resource.model = (*model)->name();
  resource.variant = (*model)->variant.name;
  if (!parts.access.decide(caller.principal, security::Verb::kUnload, resource).allowed) {
    co_return;
  }
  for (const ModelHost::Loaded& one : parts.host.loaded()) {
    if (one.served->weights == (*model)->weights && one.leases > 0) {
      co_return;
    }
  }
  co_await parts.host.unload(*model);
}

Task<bool> ollama_text(HttpExchange& exchange,
                       Caller caller,
                       Result<ollama::OllamaText> request,
                       bool chat) {
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  if (request->empty) {
    co_return co_await load_or_unload(exchange, std::move(caller), *std::move(request), chat);
  }
  const WallTime now = exchange.parts().core.clock.wall_now();
  std::unique_ptr<TextDialect> dialect =
      chat ? ollama::make_chat_dialect(now) : ollama::make_generate_dialect(now);
  const bool unload = request->unload;
  std::string reference = request->text.model;
  const bool answered =
      co_await serve_text(exchange, caller, std::move(request->text), std::move(dialect));
  if (unload) {
    co_await unload_if_idle(exchange.parts(), std::move(caller), std::move(reference));
  }
  co_return answered;
}

Task<bool> ollama_vectors(HttpExchange& exchange, Caller caller, bool legacy) {
  HttpParts& parts = exchange.parts();
  Result<ollama::OllamaEmbed> request =
      ollama::parse_embed(exchange.request().body, exchange.max_body(), legacy);
  if (!request) {
    co_return co_await exchange.fail(request.error());
  }
  const BootTime began = parts.core.clock.boot_now();
  CallOptions call;
  call.reference = request->model;
  call.request_id = exchange.id();
  call.watch = std::make_shared<CallWatch>();
  const std::shared_ptr<CallWatch> watch = call.watch;
  std::vector<Inference::EmbedInput> inputs;
  for (std::string& text : request->inputs) {
    inputs.emplace_back(std::move(text));
  }
  auto work = parts.inference.embed(caller, std::move(call), std::move(inputs));
  std::optional<Result<Inference::EmbedAnswer>> answer =
      co_await exchange.watched(std::move(work), watch);
  if (!answer) {
    co_return false;
  }
  if (!*answer) {
    co_return co_await exchange.fail(answer->error());
  }
  const std::vector<std::vector<float>>& vectors = (*answer)->embeddings.vectors;
  std::string body = legacy && !vectors.empty()
                         ? ollama::legacy_embed_body(vectors.front())
                         : ollama::embed_body((*answer)->model->name(),
                                              vectors,
                                              (*answer)->usage.prompt_tokens,
                                              parts.core.clock.boot_now() - began);
  const bool answered = co_await exchange.json(std::move(body));
  if (request->unload) {
    co_await unload_if_idle(parts, std::move(caller), std::move(request->model));
  }
  co_return answered;
}

}  // namespace

Task<bool> ollama_generate(HttpExchange& exchange, Caller caller) {
  Result<ollama::OllamaText> request =
      ollama::parse_generate(exchange.request().body, exchange.max_body());
  co_return co_await ollama_text(exchange, std::move(caller), std::move(request), false);
}

Task<bool> ollama_chat(HttpExchange& exchange, Caller caller) {
  Result<ollama::OllamaText> request =
      ollama::parse_chat(exchange.request().body, exchange.max_body());
  co_return co_await ollama_text(exchange, std::move(caller), std::move(request), true);
}

Task<bool> ollama_embed(HttpExchange& exchange, Caller caller) {
  co_return co_await ollama_vectors(exchange, std::move(caller), false);
}

Task<bool> ollama_embeddings(HttpExchange& exchange, Caller caller) {
  co_return co_await ollama_vectors(exchange, std::move(caller), true);
}

}  // namespace skerry::agent
