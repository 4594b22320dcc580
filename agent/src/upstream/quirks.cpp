#include "skerry/agent/upstream_quirks.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr Quirks kCompatibleQuirks{};

constexpr Quirks kOpenAiQuirks{
    // Its reasoning models refuse max_tokens.
    .max_tokens = "max_completion_tokens",
    .response_format = true,
    .tool_choice = true,
    .parallel_switch = true,
    .strict_tools = true,
    .log_probs = 20,
    .stops = 4,
};

constexpr Quirks kVllmQuirks{
    .health = "/health",
    .load_metrics = true,
    .top_k = true,
    .min_p = true,
    .repetition_penalty = true,
    .token_prompts = true,
    .grammar = true,
    .tool_choice = true,
    .parallel_switch = true,
    .result_names = true,
    .template_switch = true,
    // --max-logprobs, unless it was started with another.
    .log_probs = 20,
    .cache_salt = true,
    .concurrency = 32,
};

constexpr Quirks kMlxLmQuirks{
    .health = "/health",
    // 512 by default.
    .needs_max_tokens = true,
    .top_k = true,
    .min_p = true,
    .repetition_penalty = true,
    .repetition_window = true,
    .penalties = false,
    .embeddings = false,
    .result_names = true,
    // It takes logprobs and leaves them out of streams.
    .concurrency = 8,
};

constexpr Quirks kOllamaQuirks{
    .health = "/api/version",
    .latest_tag = true,
    .response_format = true,
    .result_names = true,
    .cuts_prompts = true,
    // OLLAMA_NUM_PARALLEL is 1; the rest would wait in its queue, out of our order.
    .concurrency = 1,
};

constexpr Quirks kFoundryQuirks{
    .health = "/openai/status",
    .completions = false,
    .embeddings = false,
    .tools = false,
    .stops = 4,
    .stream_usage = false,
    // For one user: it neither queues nor batches.
    .concurrency = 1,
};

}  // namespace

const Quirks& quirks_of(ServerKind kind) noexcept {
  switch (kind) {
    case ServerKind::kOpenAi:
      return kOpenAiQuirks;
    case ServerKind::kVllm:
      return kVllmQuirks;
    case ServerKind::kMlxLm:
      return kMlxLmQuirks;
    case ServerKind::kOllama:
      return kOllamaQuirks;
    case ServerKind::kFoundryLocal:
      return kFoundryQuirks;
    case ServerKind::kCompatible:
      break;
  }
  return kCompatibleQuirks;
}

}  // namespace skerry::agent::upstream
