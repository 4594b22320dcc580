#pragma once

// llama.cpp behind the plugin ABI: GGUF models, `step` style, quantization. Private to this folder.

#include <atomic>
#include <cstdint>
#include <llama.h>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ggml-backend.h>
#include <ggml-cpu.h>

#include "skerry/runtime/plugin.h"

struct skerry_runtime {
  const skerry_host* host = nullptr;
  std::string engine_version;
  decltype(&ggml_threadpool_new) new_threadpool = nullptr;
  decltype(&ggml_threadpool_free) free_threadpool = nullptr;
};

namespace skerry_llama {

struct FreeModel {
  void operator()(llama_model* model) const { llama_model_free(model); }
};
struct FreeContext {
  void operator()(llama_context* context) const { llama_free(context); }
};
struct FreeThreadpool {
  decltype(&ggml_threadpool_free) free = nullptr;
  void operator()(ggml_threadpool* pool) const { free(pool); }
};
using Threadpool = std::unique_ptr<ggml_threadpool, FreeThreadpool>;
struct FreeBatch {
  void operator()(llama_batch* batch) const {
    llama_batch_free(*batch);
    delete batch;
  }
};

}  // namespace skerry_llama

struct skerry_model {
  const skerry_host* host = nullptr;
  const skerry_runtime* runtime = nullptr;
  // Freed in reverse: the context before the threads and the weights that it uses.
  std::unique_ptr<llama_model, skerry_llama::FreeModel> model;
  skerry_llama::Threadpool threads;
  // The engine pauses the pool of its last graph when it first computes with another: pools that a
  // graph may have used live until a decode with the present one has succeeded.
  std::vector<skerry_llama::Threadpool> retired_threads;
  bool threads_tried = false;  // a decode was started with `threads`
  std::unique_ptr<llama_context, skerry_llama::FreeContext> context;
  std::unique_ptr<llama_batch, skerry_llama::FreeBatch> batch;
  const llama_vocab* vocab = nullptr;
  std::string architecture;
  std::string chat_template;
  std::string begin_text;
  std::string end_text;
  std::string state_format;
  bool causal = true;
  bool shares = true;  // sequences can share a prefix: every cell stays, none holds a whole state
  // A reranker: results are of whole sequences, and nothing else is offered.
  bool ranks = false;
  bool rank_is_share = false;        // its first output is a probability, not a logit
  std::string rank_template;         // with {query} and {document}; empty: the tokenizer's own way
  std::vector<float> relevances;     // of the last decode, by row
  std::uint32_t context_length = 0;  // of one sequence
  std::uint32_t max_sequences = 0;
  std::uint32_t spare_sequences = 0;
  std::uint32_t max_rows = 0;
  std::uint32_t max_outputs = 0;  // rows with results that one llama_decode may have
  std::size_t vocabulary = 0;
  std::size_t embedding_length = 0;
  skerry_memory_item memory[2] = {};
  std::atomic<bool> interrupted{false};
  std::uint32_t most_threads = 1;
  std::optional<std::uint32_t>
      fixed_poll;  // the load's option, which the host's wish does not change
  std::uint32_t threads_now = 0;
  std::uint32_t poll_now = 0;

  // Results of the last decode. Copied only if it had more outputs than the engine takes at once.
  std::size_t rows = 0;
  bool copied = false;
  bool embeds = false;
  std::vector<std::vector<float>> copies;
};

namespace skerry_llama {

inline std::string_view view(const skerry_str& text) {
  return text.data == nullptr ? std::string_view{} : std::string_view{text.data, text.size};
}
inline skerry_str str(std::string_view text) {
  return {text.data(), text.size()};
}

std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message);

// llama.cpp says why something failed only in its log: the last errors since `clear_log_errors`.
void clear_log_errors();
std::string log_errors();
// Called for every line that the engine logs, by the quantizer, which has no other progress report.
void set_log_watch(void (*watch)(void* ctx, std::string_view line), void* ctx);

std::uint32_t load(skerry_runtime* runtime,
                   const skerry_model_source* source,
                   const skerry_load_options* options,
                   skerry_model** model,
                   skerry_error* error);
// Gives the context a pool of its own: `threads` threads, which look for work for `poll` rounds
// before they sleep. Between two decodes.
std::uint32_t use_threads(skerry_model& model,
                          std::uint32_t threads,
                          std::uint32_t poll,
                          skerry_error* error);
std::uint32_t quantize(skerry_runtime* runtime,
                       const skerry_quantize_request* request,
                       skerry_error* error);
// The names that `quantize` takes, in the order of falling size.
const std::vector<skerry_str>& quantize_types();
const skerry_step* step_table();

// rank.cpp. Whether the model is a reranker, and how it is asked; after its weights were loaded.
std::uint32_t learn_ranking(skerry_model& made, bool pools_ranks, skerry_error* error);
// plugin.h's function of this name.
std::uint32_t pair(skerry_model* model,
                   skerry_str query,
                   skerry_str document,
                   std::int32_t* tokens,
                   std::size_t capacity,
                   std::size_t* count,
                   skerry_error* error);
// Of a row that wants no relevance.
inline constexpr float kNotWanted = -1.0F;
// Of the sequence that row `index` of the last decode belongs to; null if it was not wanted or the
// engine gave nothing.
const float* relevance(skerry_model& model, std::size_t index);

// state.cpp: plugin.h's functions of these names.
std::uint32_t seq_state_size(skerry_model* model,
                             std::uint32_t sequence,
                             std::uint64_t* bytes,
                             skerry_error* error);
std::uint32_t seq_save(skerry_model* model,
                       std::uint32_t sequence,
                       void* bytes,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error* error);
std::uint32_t seq_restore(skerry_model* model,
                          std::uint32_t sequence,
                          const void* bytes,
                          std::size_t size,
                          std::int32_t length,
                          skerry_error* error);

}  // namespace skerry_llama
