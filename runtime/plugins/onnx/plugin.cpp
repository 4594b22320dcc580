#include <array>

#include "pulse.hpp"
#include "quantize_tool.hpp"
#include "support.hpp"

namespace skerry_onnx {
namespace {

// ONNX Runtime's warnings and errors go to the host's log; they name nodes, never data.
void ORT_API_CALL forward_log(void* param,
                              OrtLoggingLevel severity,
                              const char*,
                              const char*,
                              const char*,
                              const char* message) {
  const auto* host = static_cast<const skerry_host*>(param);
  if (host->log == nullptr) {
    return;
  }
  const std::uint32_t level = severity >= ORT_LOGGING_LEVEL_ERROR     ? SKERRY_LOG_ERROR
                              : severity == ORT_LOGGING_LEVEL_WARNING ? SKERRY_LOG_WARNING
                                                                      : SKERRY_LOG_INFO;
  host->log(host->ctx, level, str(message));
}

// Grows by what is asked for instead of doubling, and is shared by all sessions of the process.
void register_arena(OrtEnv* env) {
  constexpr std::array<const char*, 1> kKeys{"arena_extend_strategy"};
  constexpr std::array<std::size_t, 1> kValues{1};  // kSameAsRequested
  OrtArenaCfg* raw = nullptr;
  check(ort()->CreateArenaCfgV2(kKeys.data(), kValues.data(), kKeys.size(), &raw),
        SKERRY_E_ENGINE,
        "arena");
  const ArenaConfig config{raw};
  OrtMemoryInfo* info = nullptr;
  check(ort()->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &info),
        SKERRY_E_ENGINE,
        "arena");
  const MemoryInfo owned{info};
  check(ort()->CreateAndRegisterAllocator(env, info, raw), SKERRY_E_ENGINE, "arena");
}

std::uint32_t init(const skerry_host* host,
                   const skerry_option*,
                   std::size_t,
                   skerry_runtime** runtime,
                   skerry_error* error) {
  return guarded(error, [&] {
    if (ort() == nullptr) {
      throw Failure{SKERRY_E_UNSUPPORTED,
                    std::string{"ONNX Runtime "} + OrtGetApiBase()->GetVersionString() +
                        " has no API " + std::to_string(ORT_API_VERSION) + "; install a newer one"};
    }
    auto made = std::make_unique<skerry_runtime>();
    made->host = host;
    made->engine_version = OrtGetApiBase()->GetVersionString();
    OrtEnv* env = nullptr;
    check(
        ort()->CreateEnvWithCustomLogger(
            forward_log, const_cast<skerry_host*>(host), ORT_LOGGING_LEVEL_WARNING, "skerry", &env),
        SKERRY_E_ENGINE,
        "ONNX Runtime cannot start");
    made->env.reset(env);
    check(ort()->DisableTelemetryEvents(env), SKERRY_E_ENGINE, "telemetry");
    register_arena(env);
    warm_up(env);
    made->pulse = std::make_shared<Pulse>(host);
    *runtime = made.release();
  });
}

void fini(skerry_runtime* runtime) {
  delete runtime;
}

std::uint32_t capabilities(skerry_runtime* runtime, skerry_capabilities* out, skerry_error*) {
  static const skerry_str kFormats[] = {str("onnx")};
  static const skerry_str kAccelerators[] = {str("cpu")};
  static const skerry_str kQuantizeTypes[] = {str("int8-qdq")};
  out->engine_version = str(runtime->engine_version);
  out->formats = kFormats;
  out->format_count = 1;
  out->accelerators = kAccelerators;
  out->accelerator_count = 1;
  out->quantize_types = kQuantizeTypes;
  out->quantize_type_count = 1;
  out->features = SKERRY_FEATURE_TENSORS;
  return SKERRY_OK;
}

std::uint32_t estimate(skerry_runtime*,
                       const skerry_model_source* source,
                       const skerry_load_options*,
                       skerry_memory_item* items,
                       std::size_t capacity,
                       std::size_t* count,
                       skerry_error* error) {
  return guarded(error, [&] {
    const auto needed = estimate_memory(*source);
    *count = needed.size();
    for (std::size_t i = 0; i < needed.size() && i < capacity; ++i) {
      items[i] = needed[i];
    }
  });
}

std::uint32_t load(skerry_runtime* runtime,
                   const skerry_model_source* source,
                   const skerry_load_options* options,
                   skerry_model** model,
                   skerry_error* error) {
  return guarded(error, [&] { *model = load_model(*runtime, *source, *options).release(); });
}

void unload(skerry_model* model) {
  delete model;
}

std::uint32_t info(skerry_model* model, skerry_model_info* out, skerry_error*) {
  out->features = SKERRY_FEATURE_TENSORS;
  out->max_concurrency = model->max_concurrency;
  out->architecture = str("onnx");
  out->accelerator = str("cpu");
  out->inputs = model->input_infos.data();
  out->input_count = model->input_infos.size();
  out->outputs = model->output_infos.data();
  out->output_count = model->output_infos.size();
  out->memory = model->memory.data();
  out->memory_count = model->memory.size();
  return SKERRY_OK;
}

}  // namespace
}  // namespace skerry_onnx

extern "C" const skerry_plugin* skerry_get_plugin(uint32_t abi_major, uint32_t) {
  using namespace skerry_onnx;  // NOLINT(google-build-using-namespace): C entry point
  static const skerry_tools kTools{
      .size = sizeof(skerry_tools), .quantize = quantize, .evaluate = nullptr};
  static const skerry_plugin kPlugin{.size = sizeof(skerry_plugin),
                                     .abi_major = SKERRY_ABI_MAJOR,
                                     .abi_minor = SKERRY_ABI_MINOR,
                                     .name = str("onnx"),
                                     .version = str("1"),
                                     .init = init,
                                     .fini = fini,
                                     .capabilities = capabilities,
                                     .estimate = estimate,
                                     .load = load,
                                     .unload = unload,
                                     .info = info,
                                     .step = nullptr,
                                     .infer = infer_table(),
                                     .tools = &kTools};
  // Minor version 0 asks nothing of the host beyond the major version.
  return abi_major == SKERRY_ABI_MAJOR ? &kPlugin : nullptr;
}
