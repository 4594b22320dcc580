#pragma once

// The calls of every HTTP dialect. Each answers one exchange and returns false if the client is
// gone. `http_session.cpp` routes to them; docs/http.md lists them.

#include <string>

#include "http_exchange.hpp"

namespace skerry::agent {

// OpenAI. The two listings answer in Anthropic's shape where the exchange asks for it.
Task<bool> openai_models(HttpExchange& exchange, Caller caller);
Task<bool> openai_model(HttpExchange& exchange, Caller caller);
Task<bool> openai_chat(HttpExchange& exchange, Caller caller);
Task<bool> openai_completions(HttpExchange& exchange, Caller caller);
Task<bool> openai_embeddings(HttpExchange& exchange, Caller caller);
// Jina's and Cohere's call, as vLLM answers it.
Task<bool> rerank_documents(HttpExchange& exchange, Caller caller);
Task<bool> openai_responses(HttpExchange& exchange, Caller caller);

// Anthropic.
Task<bool> anthropic_messages(HttpExchange& exchange, Caller caller);
Task<bool> anthropic_count_tokens(HttpExchange& exchange, Caller caller);

// Ollama. `ollama_change` refuses create, push, copy and the upload of blobs.
Task<bool> ollama_generate(HttpExchange& exchange, Caller caller);
Task<bool> ollama_chat(HttpExchange& exchange, Caller caller);
Task<bool> ollama_embed(HttpExchange& exchange, Caller caller);
Task<bool> ollama_embeddings(HttpExchange& exchange, Caller caller);
Task<bool> ollama_version(HttpExchange& exchange, Caller caller);
Task<bool> ollama_tags(HttpExchange& exchange, Caller caller);
Task<bool> ollama_ps(HttpExchange& exchange, Caller caller);
Task<bool> ollama_show(HttpExchange& exchange, Caller caller);
Task<bool> ollama_pull(HttpExchange& exchange, Caller caller);
Task<bool> ollama_delete(HttpExchange& exchange, Caller caller);
Task<bool> ollama_change(HttpExchange& exchange, Caller caller);

// The Open Inference Protocol (KServe v2). Models have GET (metadata, ready) and POST (infer).
Task<bool> oip_server(HttpExchange& exchange, Caller caller);
Task<bool> oip_model_get(HttpExchange& exchange, Caller caller);
Task<bool> oip_model_post(HttpExchange& exchange, Caller caller);
Task<bool> oip_index(HttpExchange& exchange, Caller caller);
Task<bool> oip_repository(HttpExchange& exchange, Caller caller);

}  // namespace skerry::agent
