#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>
#include <unistd.h>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

// When nobody says how long the context should be: what a model was trained for can be far more
// memory than a gateway has.
constexpr std::uint32_t kDefaultContext = 4096;
constexpr std::uint32_t kOutputsAtOnce = 64;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

struct Options {
  std::optional<std::uint32_t>
      poll;            // 0: waiting threads sleep; 100: they spin; none: as the host says
  bool repack = true;  // copy weights into the layout that this CPU multiplies fastest
};

std::uint32_t read_options(const skerry_load_options& given,
                           Options& options,
                           skerry_error* error) {
  for (std::size_t i = 0; i < given.option_count; ++i) {
    const std::string_view key = view(given.options[i].key);
    const std::string_view value = view(given.options[i].value);
    std::uint32_t number = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = ec == std::errc{} && end == value.data() + value.size();
    if (key == "poll" && is_number && number <= 100) {
      options.poll = number;
    } else if (key == "repack" && is_number && number <= 1) {
      options.repack = number == 1;
    } else {
      return fail(error,
                  SKERRY_E_INVALID,
                  "llamacpp does not take the option " + std::string{key} + "=" +
                      std::string{value} + "; it takes poll=0…100 and repack=0|1");
    }
  }
  return SKERRY_OK;
}

// The one file with role "model", as a stream at its first byte.
OpenFile open_model_file(const skerry_model_source& source, std::string& problem) {
  const skerry_file* found = nullptr;
  for (std::size_t i = 0; i < source.file_count; ++i) {
    if (view(source.files[i].role) == "model") {
      if (found != nullptr) {
        problem = "a GGUF model is one file, several have the role \"model\"";
        return nullptr;
      }
      found = &source.files[i];
    }
  }
  if (found == nullptr) {
    problem = "no file has the role \"model\"";
    return nullptr;
  }
  const int fd = dup(found->fd);
  OpenFile file{fd < 0 ? nullptr : fdopen(fd, "rb")};
  if (!file) {
    if (fd >= 0) {
      close(fd);
    }
    problem = "the model's descriptor cannot be read";
    return nullptr;
  }
  if (fseeko(file.get(), static_cast<off_t>(found->offset), SEEK_SET) != 0) {
    problem = "the model's descriptor cannot be positioned";
    return nullptr;
  }
  return file;
}

std::string token_text(const llama_vocab* vocab, llama_token token) {
  const char* const text = token == LLAMA_TOKEN_NULL ? nullptr : llama_vocab_get_text(vocab, token);
  return text != nullptr ? text : "";
}

std::string meta_value(const llama_model* model, const std::string& key) {
  char buffer[128] = {};
  const std::int32_t length = llama_model_meta_val_str(model, key.c_str(), buffer, sizeof buffer);
  return length < 0 ? std::string{} : std::string{buffer};
}

bool on_progress(float, void* ctx) {
  const auto* host = static_cast<const skerry_host*>(ctx);
  host->heartbeat(host->ctx);
  return host->should_stop(host->ctx) == 0;
}

// Asked before each operation of the graph.
bool on_abort(void* ctx) {
  auto* model = static_cast<skerry_model*>(ctx);
  model->host->heartbeat(model->host->ctx);
  return model->interrupted.load(std::memory_order_relaxed) ||
         model->host->should_stop(model->host->ctx) != 0;
}

std::uint64_t kv_bytes(const llama_model* model, std::uint64_t cells) {
  const auto positive = [](std::int32_t value) {
    return static_cast<std::uint64_t>(std::max(value, 1));
  };
  const std::uint64_t head =
      positive(llama_model_n_embd(model)) / positive(llama_model_n_head(model));
  // Keys and values, two bytes each.
  return cells * positive(llama_model_n_layer(model)) * positive(llama_model_n_head_kv(model)) *
         head * 4;
}

std::string reason(std::string_view fallback) {
  std::string errors = log_errors();
  return errors.empty() ? std::string{fallback} : errors;
}

std::uint32_t load_weights(skerry_model& made,
                           const skerry_model_source& source,
                           const Options& options,
                           skerry_error* error) {
  std::string problem;
  const OpenFile file = open_model_file(source, problem);
  if (!file) {
    return fail(error, SKERRY_E_IO, problem);
  }
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = 0;
  params.use_extra_bufts = options.repack;
  params.progress_callback = on_progress;
  params.progress_callback_user_data = const_cast<skerry_host*>(made.host);
  clear_log_errors();
  made.model.reset(llama_model_load_from_file_ptr(file.get(), params));
  if (!made.model) {
    const bool stopped = made.host->should_stop(made.host->ctx) != 0;
    return fail(error,
                stopped ? SKERRY_E_CANCELLED : SKERRY_E_MODEL,
                "llama.cpp refuses the model: " + reason("it gives no reason"));
  }
  made.vocab = llama_model_get_vocab(made.model.get());
  made.architecture = meta_value(made.model.get(), "general.architecture");
  const char* chat = llama_model_chat_template(made.model.get(), nullptr);
  made.chat_template = chat != nullptr ? chat : "";
  made.begin_text = token_text(made.vocab, llama_vocab_bos(made.vocab));
  made.end_text = token_text(made.vocab, llama_vocab_eos(made.vocab));
  made.causal = meta_value(made.model.get(), made.architecture + ".attention.causal") != "false";
  made.shares = made.causal && !llama_model_is_recurrent(made.model.get()) &&
                !llama_model_is_hybrid(made.model.get()) &&
                llama_model_n_swa(made.model.get()) == 0;
  if (const std::uint32_t status = learn_ranking(
          made, meta_value(made.model.get(), made.architecture + ".pooling_type") == "4", error);
      status != SKERRY_OK) {
    return status;
  }
  made.vocabulary = static_cast<std::size_t>(llama_vocab_n_tokens(made.vocab));
  made.embedding_length =
      made.ranks ? 1 : static_cast<std::size_t>(llama_model_n_embd(made.model.get()));
  if (llama_model_has_encoder(made.model.get()) && llama_model_has_decoder(made.model.get())) {
    return fail(error, SKERRY_E_UNSUPPORTED, "encoder-decoder models are not supported");
  }
  return SKERRY_OK;
}

std::uint32_t make_context(skerry_model& made,
                           const skerry_load_options& options,
                           skerry_error* error) {
  const auto trained = static_cast<std::uint32_t>(llama_model_n_ctx_train(made.model.get()));
  made.context_length =
      options.context_length != 0 ? options.context_length : std::min(trained, kDefaultContext);
  if (made.context_length > trained) {
    return fail(error,
                SKERRY_E_CONTEXT,
                "a context of " + std::to_string(made.context_length) +
                    " tokens is asked for, the model was trained for " + std::to_string(trained));
  }
  made.max_sequences = options.max_sequences;
  if (made.max_sequences > llama_max_parallel_sequences()) {
    return fail(error,
                SKERRY_E_INVALID,
                "llama.cpp decodes at most " + std::to_string(llama_max_parallel_sequences()) +
                    " sequences together");
  }
  // Numbers cost nothing, the cells are the others'.
  const bool knows_spare =
      options.size >= offsetof(skerry_load_options, spare_sequences) + sizeof(std::uint32_t);
  made.spare_sequences = made.shares && knows_spare
                             ? std::min(options.spare_sequences,
                                        static_cast<std::uint32_t>(llama_max_parallel_sequences()) -
                                            made.max_sequences)
                             : 0;
  const std::uint64_t cells = std::uint64_t{made.context_length} * made.max_sequences;
  made.max_rows = static_cast<std::uint32_t>(std::min<std::uint64_t>(options.max_rows, cells));
  made.max_outputs = std::max(kOutputsAtOnce, made.max_sequences);
  made.memory[0] = {.kind = SKERRY_MEMORY_WEIGHTS_MAPPED,
                    .reserved = 0,
                    .bytes = llama_model_size(made.model.get())};
  made.memory[1] = {
      .kind = SKERRY_MEMORY_KV, .reserved = 0, .bytes = kv_bytes(made.model.get(), cells)};
  if (options.memory_limit != 0 && made.memory[1].bytes > options.memory_limit) {
    return fail(error,
                SKERRY_E_MEMORY,
                "the KV cache for " + std::to_string(made.max_sequences) + " sequences of " +
                    std::to_string(made.context_length) + " tokens takes " +
                    std::to_string(made.memory[1].bytes >> 20U) + " MiB, the limit is " +
                    std::to_string(options.memory_limit >> 20U) + " MiB");
  }
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(cells);
  params.n_batch = std::max(made.max_rows, made.max_outputs);
  params.n_ubatch = std::min(params.n_batch, 512U);
  // What is pooled must be computed at once.
  if (!made.causal || made.ranks) {
    params.n_ubatch = params.n_batch;
  }
  params.n_seq_max = made.max_sequences + made.spare_sequences;
  // An output row costs a vocabulary of floats: reserve for generation, not for whole prompts.
  // Every row of a pooled sequence is one.
  params.n_outputs_max = made.ranks ? params.n_batch : std::min(made.max_outputs, params.n_batch);
  made.max_outputs = params.n_outputs_max;
  params.n_threads = static_cast<std::int32_t>(options.threads);
  params.n_threads_batch = params.n_threads;
  params.pooling_type = made.ranks ? LLAMA_POOLING_TYPE_RANK : LLAMA_POOLING_TYPE_NONE;
  params.embeddings = made.ranks;
  made.embeds = made.ranks;
  // One pool of cells: sequences can share prefixes, and gaps in their numbers cost nothing.
  params.kv_unified = true;
  params.no_perf = true;
  params.abort_callback = on_abort;
  params.abort_callback_data = &made;
  clear_log_errors();
  made.context.reset(llama_init_from_model(made.model.get(), params));
  if (!made.context) {
    return fail(
        error, SKERRY_E_MEMORY, "llama.cpp cannot make a context: " + reason("memory is short"));
  }
  // The engine refuses a state with other types or another order of values by itself.
  made.state_format = "llamacpp 1, llama.cpp " + made.runtime->engine_version + ", kv " +
                      ggml_type_name(params.type_k) + "/" + ggml_type_name(params.type_v);
  return SKERRY_OK;
}

}  // namespace

std::uint32_t use_threads(skerry_model& model,
                          std::uint32_t threads,
                          std::uint32_t poll,
                          skerry_error* error) {
  if (threads == model.threads_now && poll == model.poll_now) {
    return SKERRY_OK;
  }
  // The engine's own pool spins between graphs: beside one busy process on two cores decoding fell
  // from 33.6 to 0.9 tokens a second.
  llama_context* context = model.context.get();
  llama_detach_threadpool(context);
  if (model.threads_tried) {
    model.retired_threads.push_back(std::move(model.threads));
    model.threads_tried = false;
  }
  model.threads.reset();
  model.threads_now = 0;
  ggml_threadpool_params params = ggml_threadpool_params_default(static_cast<int>(threads));
  params.poll = poll;
  model.threads = {model.runtime->new_threadpool(&params), {model.runtime->free_threadpool}};
  if (!model.threads) {
    return fail(error, SKERRY_E_ENGINE, "llama.cpp cannot start its threads");
  }
  llama_attach_threadpool(context, model.threads.get(), model.threads.get());
  const auto count = static_cast<std::int32_t>(threads);
  llama_set_n_threads(context, count, count);
  model.threads_now = threads;
  model.poll_now = poll;
  return SKERRY_OK;
}

std::uint32_t load(skerry_runtime* runtime,
                   const skerry_model_source* source,
                   const skerry_load_options* options,
                   skerry_model** model,
                   skerry_error* error) try {
  if (view(options->accelerator) != "cpu") {
    return fail(error,
                SKERRY_E_UNSUPPORTED,
                "llama.cpp has no accelerator \"" + std::string{view(options->accelerator)} +
                    "\" on this machine, only cpu");
  }
  Options own;
  if (const std::uint32_t status = read_options(*options, own, error); status != SKERRY_OK) {
    return status;
  }
  auto made = std::make_unique<skerry_model>();
  made->host = runtime->host;
  made->runtime = runtime;
  made->most_threads = options->threads;
  made->fixed_poll = own.poll;
  if (const std::uint32_t status = load_weights(*made, *source, own, error); status != SKERRY_OK) {
    return status;
  }
  if (const std::uint32_t status = make_context(*made, *options, error); status != SKERRY_OK) {
    return status;
  }
  if (const std::uint32_t status =
          use_threads(*made, options->threads, own.poll.value_or(0), error);
      status != SKERRY_OK) {
    return status;
  }
  made->batch.reset(
      new llama_batch(llama_batch_init(static_cast<std::int32_t>(made->max_rows), 0, 1)));
  *model = made.release();
  return SKERRY_OK;
} catch (const std::bad_alloc&) {
  return fail(error, SKERRY_E_MEMORY, "out of memory while loading the model");
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

}  // namespace skerry_llama
