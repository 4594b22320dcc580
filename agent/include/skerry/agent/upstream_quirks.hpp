#pragma once

// What is known about the servers that a model of the runtime `openai` is answered by: where they
// stand (tier) and how each kind departs from OpenAI's interface (docs/upstreams.md has the same
// table in words). Everything that sends to a server or reads from it asks this table and nothing
// else about the kind.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "skerry/registry/upstream_spec.hpp"

namespace skerry::agent::upstream {

// The words of the signed description are those of the registry.
using registry::upstream::kPlugin;
using registry::upstream::parse_server_kind;
using registry::upstream::parse_spec;
using registry::upstream::parse_tier;
using registry::upstream::ServerKind;
using registry::upstream::Spec;
using registry::upstream::Tier;
using registry::upstream::to_string;

struct Quirks {
  // A path of the server, not below its base URL, that answers 200 while it is well; empty: it has
  // none, the list of models tells.
  std::string_view health;
  // Exports vllm:num_requests_running and _waiting at /metrics: how busy others keep it.
  bool load_metrics = false;
  // A model "name" is listed as "name:latest".
  bool latest_tag = false;
  // What the limit of an answer is called.
  std::string_view max_tokens = "max_tokens";
  // Without a limit it ends answers at one of its own: one is always sent.
  bool needs_max_tokens = false;
  // Parameters beyond OpenAI's that it obeys; the others are left out.
  bool top_k = false;
  bool min_p = false;
  bool repetition_penalty = false;
  bool repetition_window = false;  // as repetition_context_size
  // Takes frequency_penalty and presence_penalty.
  bool penalties = true;
  bool completions = true;
  bool embeddings = true;
  bool token_prompts = false;
  // Takes GBNF as structured_outputs.grammar.
  bool grammar = false;
  // Holds answers to response_format: a schema, or any JSON object.
  bool response_format = false;
  // Takes tools, and messages with calls and results.
  bool tools = true;
  // Obeys tool_choice "required" and a named tool.
  bool tool_choice = false;
  // Takes parallel_tool_calls; of the others' calls the first is told where one is wanted.
  bool parallel_switch = false;
  // Holds calls to the schema of a tool that is strict.
  bool strict_tools = false;
  // Takes the tool's name beside a result.
  bool result_names = false;
  // Has chat_template_kwargs, by which templates are told whether to think.
  bool template_switch = false;
  // Most probable tokens that it tells beside each token of a stream; none: no log-probabilities.
  std::optional<std::uint32_t> log_probs;
  std::size_t stops = 16;
  // Ends a stream with the usage if stream_options asks for it.
  bool stream_usage = true;
  // Separates the prefix cache of tenants by cache_salt.
  bool cache_salt = false;
  // Cuts a prompt that does not fit its context without a word.
  bool cuts_prompts = false;
  // Requests at once where the configuration says nothing.
  unsigned concurrency = 8;
};

const Quirks& quirks_of(ServerKind kind) noexcept;

}  // namespace skerry::agent::upstream
