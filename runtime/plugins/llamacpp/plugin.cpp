#include <cstddef>
#include <cstring>
#include <dlfcn.h>
#include <exception>
#include <filesystem>

#include "llama_plugin.hpp"

namespace skerry_llama {
namespace {

constexpr std::size_t kMaxRemembered = 600;

struct LogState {
  std::mutex mutex;
  const skerry_host* host = nullptr;
  std::string errors;
  std::string line;  // llama.cpp continues lines
  ggml_log_level level = GGML_LOG_LEVEL_NONE;
  void (*watch)(void* ctx, std::string_view line) = nullptr;
  void* watch_ctx = nullptr;
};

// The engine has one log for the process.
LogState& log_state() {
  static LogState state;
  return state;
}

void take_line(LogState& state) {
  while (!state.line.empty() && (state.line.back() == '\n' || state.line.back() == ' ')) {
    state.line.pop_back();
  }
  if (state.line.empty()) {
    return;
  }
  if (state.level == GGML_LOG_LEVEL_ERROR && state.errors.size() < kMaxRemembered) {
    state.errors += state.errors.empty() ? "" : "; ";
    state.errors += state.line;
  }
  if (state.watch != nullptr) {
    state.watch(state.watch_ctx, state.line);
  }
  if (state.host != nullptr) {
    const bool serious = state.level == GGML_LOG_LEVEL_ERROR || state.level == GGML_LOG_LEVEL_WARN;
    state.host->log(
        state.host->ctx, serious ? SKERRY_LOG_WARNING : SKERRY_LOG_DEBUG, str(state.line));
  }
  state.line.clear();
}

void on_log(ggml_log_level level, const char* text, void*) {
  LogState& state = log_state();
  const std::lock_guard lock{state.mutex};
  if (state.host != nullptr) {
    state.host->heartbeat(state.host->ctx);
  }
  if (level != GGML_LOG_LEVEL_CONT) {
    take_line(state);
    state.level = level;
  }
  state.line += text;
  if (state.line.ends_with('\n')) {
    take_line(state);
  }
}

// Where the builds of the CPU backend lie: where the build found them, or, once installed
// elsewhere, beside libllama.
std::string backend_folder() {
  std::error_code ec;
  if (std::filesystem::is_directory(SKERRY_LLAMA_BACKENDS, ec)) {
    return SKERRY_LLAMA_BACKENDS;
  }
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&llama_backend_init), &info) != 0 &&
      info.dli_fname != nullptr) {
    return std::filesystem::path{info.dli_fname}.parent_path().string();
  }
  return SKERRY_LLAMA_BACKENDS;
}

std::uint32_t init(const skerry_host* host,
                   const skerry_option* options,
                   std::size_t option_count,
                   skerry_runtime** runtime,
                   skerry_error* error) try {
  log_state().host = host;
  llama_log_set(on_log, nullptr);
  std::string backends = backend_folder();
  for (std::size_t i = 0; i < option_count; ++i) {
    if (view(options[i].key) == "engine_dir" && options[i].value.size > 0) {
      backends = view(options[i].value);
    }
  }
  // Chooses the build of the CPU backend for this machine's instructions.
  ggml_backend_load_all_from_path(backends.c_str());
  llama_backend_init();
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (cpu == nullptr) {
    return fail(error,
                SKERRY_E_ENGINE,
                "no CPU backend of llama.cpp that runs on this processor is in " + backends);
  }
  auto made = std::make_unique<skerry_runtime>();
  made->host = host;
  made->engine_version = llama_version();
  ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(cpu);
  made->new_threadpool = reinterpret_cast<decltype(&ggml_threadpool_new)>(
      ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new"));
  made->free_threadpool = reinterpret_cast<decltype(&ggml_threadpool_free)>(
      ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_free"));
  if (made->new_threadpool == nullptr || made->free_threadpool == nullptr) {
    return fail(error, SKERRY_E_ENGINE, "the CPU backend offers no thread pools");
  }
  *runtime = made.release();
  return SKERRY_OK;
} catch (const std::exception& exception) {
  return fail(error, SKERRY_E_ENGINE, exception.what());
}

void fini(skerry_runtime* runtime) {
  {
    LogState& state = log_state();
    const std::lock_guard lock{state.mutex};
    state.host = nullptr;
  }
  llama_backend_free();
  delete runtime;
}

std::uint32_t capabilities(skerry_runtime* runtime, skerry_capabilities* out, skerry_error*) {
  static const skerry_str kFormats[] = {str("gguf")};
  static const skerry_str kAccelerators[] = {str("cpu")};
  out->engine_version = str(runtime->engine_version);
  out->formats = kFormats;
  out->format_count = 1;
  out->accelerators = kAccelerators;
  out->accelerator_count = 1;
  out->quantize_types = quantize_types().data();
  out->quantize_type_count = quantize_types().size();
  out->features = SKERRY_FEATURE_GENERATE | SKERRY_FEATURE_EMBED | SKERRY_FEATURE_SCORE |
                  SKERRY_FEATURE_CHAT | SKERRY_FEATURE_SEQ_COPY | SKERRY_FEATURE_SEQ_STATE |
                  SKERRY_FEATURE_SEQ_TRIM | SKERRY_FEATURE_RANK;
  return SKERRY_OK;
}

void unload(skerry_model* model) {
  delete model;
}

std::uint32_t info(skerry_model* model, skerry_model_info* out, skerry_error*) {
  out->features = SKERRY_FEATURE_EMBED;
  if (model->shares) {
    out->features |= SKERRY_FEATURE_SEQ_COPY | SKERRY_FEATURE_SEQ_STATE | SKERRY_FEATURE_SEQ_TRIM;
  }
  if (model->causal) {
    out->features |= SKERRY_FEATURE_GENERATE | SKERRY_FEATURE_SCORE;
  } else {
    out->features |= SKERRY_FEATURE_WHOLE_SEQUENCE;
  }
  if (!model->chat_template.empty()) {
    out->features |= SKERRY_FEATURE_CHAT;
  }
  if (model->ranks) {
    out->features = SKERRY_FEATURE_RANK | SKERRY_FEATURE_WHOLE_SEQUENCE;
  }
  out->max_concurrency = 1;
  out->architecture = str(model->architecture);
  out->accelerator = str("cpu");
  out->context_length = model->context_length;
  out->context_total = llama_n_ctx(model->context.get());
  out->vocabulary = static_cast<std::uint32_t>(model->vocabulary);
  out->embedding_length = static_cast<std::uint32_t>(model->embedding_length);
  out->max_sequences = model->max_sequences;
  out->max_rows = model->max_rows;
  if (out->size >= offsetof(skerry_model_info, spare_sequences) + sizeof(std::uint32_t)) {
    out->spare_sequences = model->spare_sequences;
  }
  if (out->size >= offsetof(skerry_model_info, end_text) + sizeof(skerry_str)) {
    out->begin_text = str(model->begin_text);
    out->end_text = str(model->end_text);
  }
  if (out->size >= offsetof(skerry_model_info, state_format) + sizeof(skerry_str)) {
    out->state_format = str(model->state_format);
  }
  out->chat_template = str(model->chat_template);
  out->memory = model->memory;
  out->memory_count = std::size(model->memory);
  return SKERRY_OK;
}

}  // namespace

std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message) {
  const std::size_t length =
      message.size() < sizeof error->message - 1 ? message.size() : sizeof error->message - 1;
  std::memcpy(error->message, message.data(), length);
  error->message[length] = '\0';
  return status;
}

void clear_log_errors() {
  LogState& state = log_state();
  const std::lock_guard lock{state.mutex};
  state.errors.clear();
}

std::string log_errors() {
  LogState& state = log_state();
  const std::lock_guard lock{state.mutex};
  take_line(state);
  return state.errors;
}

void set_log_watch(void (*watch)(void* ctx, std::string_view line), void* ctx) {
  LogState& state = log_state();
  const std::lock_guard lock{state.mutex};
  state.watch = watch;
  state.watch_ctx = ctx;
}

}  // namespace skerry_llama

extern "C" const skerry_plugin* skerry_get_plugin(uint32_t abi_major, uint32_t) {
  using namespace skerry_llama;  // NOLINT(google-build-using-namespace): C entry point
  static const skerry_tools kTools{
      .size = sizeof(skerry_tools), .quantize = quantize, .evaluate = nullptr};
  static const skerry_plugin kPlugin{.size = sizeof(skerry_plugin),
                                     .abi_major = SKERRY_ABI_MAJOR,
                                     .abi_minor = SKERRY_ABI_MINOR,
                                     .name = str("llamacpp"),
                                     .version = str("1"),
                                     .init = init,
                                     .fini = fini,
                                     .capabilities = capabilities,
                                     .estimate = nullptr,
                                     .load = load,
                                     .unload = unload,
                                     .info = info,
                                     .step = step_table(),
                                     .infer = nullptr,
                                     .tools = &kTools};
  // Minor version 0 asks nothing of the host beyond the major version.
  return abi_major == SKERRY_ABI_MAJOR ? &kPlugin : nullptr;
}
