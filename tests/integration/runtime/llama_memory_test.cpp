// PREFLIGHT's estimate beside what llama.cpp itself says it allocates (its load log) and what a
// real worker holds after its whole context was filled: never under, and at most 1.6 times.
#include <cstdlib>
#include <llama.h>
#include <map>
#include <string>

#include <ggml-backend.h>

#include "skerry/common/file_system.hpp"
#include "skerry/registry/gguf_check.hpp"
#include "skerry/runtime/memory_estimate.hpp"
#include "skerry/runtime/quantize.hpp"

#include "temp_dir.hpp"
#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

constexpr double kAtMost = 1.6;
constexpr double kLogRounding = 0.01 * 1024 * 1024;
constexpr std::uint32_t kSequences = 4;
constexpr std::uint32_t kRows = 512;

GgufShape shape_of(const std::string& path) {
  SystemFileSystem fs;
  const auto file = fs.open(path, OpenMode::kRead, 0);
  EXPECT_TRUE(file) << path;
  const auto gguf = registry::check_gguf(**file);
  EXPECT_TRUE(gguf) << gguf.error().to_string();
  GgufShape shape;
  shape.weights_bytes = gguf->weights_bytes;
  for (const auto& [name, use] : gguf->types) {
    shape.repacked_bytes += is_repacked_type(name) ? use.bytes : 0;
  }
  shape.block_count = static_cast<std::uint32_t>(gguf->block_count);
  shape.embedding_length = static_cast<std::uint32_t>(gguf->embedding_length);
  shape.feed_forward_length = static_cast<std::uint32_t>(gguf->feed_forward_length);
  shape.head_count = static_cast<std::uint32_t>(gguf->head_count);
  shape.head_count_kv = static_cast<std::uint32_t>(gguf->head_count_kv);
  shape.key_length = static_cast<std::uint32_t>(gguf->key_length);
  shape.value_length = static_cast<std::uint32_t>(gguf->value_length);
  shape.vocabulary = static_cast<std::uint32_t>(gguf->vocabulary_size);
  shape.context_length = static_cast<std::uint32_t>(gguf->context_length);
  return shape;
}

// "…: CPU KV buffer size = 1.00 MiB" by the word before "buffer size".
struct EngineFigures {
  std::map<std::string, double> bytes;

  [[nodiscard]] double of(const std::string& what) const {
    const auto found = bytes.find(what);
    return found == bytes.end() ? 0 : found->second;
  }
  static void take(ggml_log_level, const char* text, void* self) {
    const std::string line{text};
    const std::size_t at = line.find(" buffer size =");
    if (at == std::string::npos || at == 0) {
      return;
    }
    const std::size_t word = line.rfind(' ', at - 1) + 1;
    static_cast<EngineFigures*>(self)->bytes[line.substr(word, at - word)] +=
        std::strtod(line.c_str() + line.find('=', at) + 1, nullptr) * 1024 * 1024;
  }
};

// The engine in this process, set up as the plugin does it (runtime/plugins/llamacpp/load.cpp).
EngineFigures ask_engine(const std::string& path, std::uint32_t context) {
  EngineFigures figures;
  llama_log_set(EngineFigures::take, &figures);
  ggml_backend_load_all_from_path(SKERRY_TEST_LLAMA_BACKENDS);
  llama_model_params model_params = llama_model_default_params();
  model_params.n_gpu_layers = 0;
  model_params.use_extra_bufts = true;
  llama_model* model = llama_model_load_from_file(path.c_str(), model_params);
  EXPECT_NE(model, nullptr);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = context * kSequences;
  params.n_batch = std::min(kRows, params.n_ctx);
  params.n_ubatch = params.n_batch;
  params.n_seq_max = kSequences;
  params.n_outputs_max = 64;
  params.n_threads = 1;
  params.n_threads_batch = 1;
  params.kv_unified = true;
  llama_context* made = llama_init_from_model(model, params);
  EXPECT_NE(made, nullptr);
  llama_free(made);
  llama_model_free(model);
  llama_log_set(nullptr, nullptr);
  return figures;
}

class LlamaMemoryTest : public WorkerTest {
 protected:
  void expect_between(double estimated, double measured, const std::string& what) {
    // The engine's log rounds to 0.01 MiB.
    EXPECT_GE(estimated + kLogRounding, measured) << what << ": estimated below";
    EXPECT_LE(estimated, measured * kAtMost) << what << ": estimated too far above";
    std::printf("  %-30s estimated %8.0f KiB, measured %8.0f KiB, ratio %.2f\n",
                what.c_str(),
                estimated / 1024,
                measured / 1024,
                estimated / measured);
  }

  // The worker's resident memory once every sequence has filled its context.
  std::uint64_t fill(const std::string& path, std::uint32_t context) {
    LoadSpec spec = log_triage_spec();
    spec.files.clear();
    spec.files.push_back(open_model(path));
    spec.context_length = context;
    spec.max_sequences = kSequences;
    const auto model = load(std::move(spec));
    if (model == nullptr) {
      return 0;
    }
    std::vector<std::shared_ptr<Collected>> running;
    for (std::uint32_t i = 0; i < kSequences; ++i) {
      GenerateRequest request = prompt(*model, "");
      request.prompt = PromptTokens{std::vector<std::int32_t>(context - 8, 40)};
      request.meta.id = RequestId{"r" + std::to_string(i)};
      running.push_back(start(*model, std::move(request)));
    }
    for (const auto& one : running) {
      run_until([&] { return one->ended(); });
      EXPECT_EQ(one->failure(), nullptr) << one->failure()->error.to_string();
    }
    return model->status().peak_resident_bytes;
  }

  void compare(const std::string& name, const std::string& path, std::uint32_t context) {
    const GgufShape shape = shape_of(path);
    const GgufPlan plan{.context_length = context, .max_sequences = kSequences, .max_rows = kRows};
    const MemoryUse use = estimate_gguf(shape, plan);
    const MemoryUse empty = estimate_gguf({}, {.context_length = 0, .max_rows = 0});
    const EngineFigures engine = ask_engine(path, context);
    const std::string what = name + ", context " + std::to_string(context) + ": ";
    expect_between(static_cast<double>(use.kv), engine.of("KV"), what + "cache");
    expect_between(static_cast<double>(use.weights_mapped + use.weights),
                   engine.of("model"),
                   what + "weights");
    // Without the worker's own code and tables.
    expect_between(static_cast<double>(use.compute - empty.compute),
                   engine.of("compute") + engine.of("output"),
                   what + "compute");
    expect_between(static_cast<double>(use.total()),
                   static_cast<double>(fill(path, context)),
                   what + "worker");
  }
};

TEST_F(LlamaMemoryTest, EstimateHoldsAtTwoContextLengths) {
  const std::string f16 = std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf";
  for (const std::uint32_t context : {128U, 512U}) {
    compare("f16", f16, context);
  }
}

TEST_F(LlamaMemoryTest, EstimateHoldsForARepackedVariant) {
  const skerry::test::TempDir folder;
  const std::string path = (folder / "q4_k_m.gguf").string();
  QuantizeJob job;
  job.plugin = "llamacpp";
  job.files.push_back(
      open_model(std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf"));
  job.type = "q4_k_m";
  job.output.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const auto done = quantize_model(worker_options(), std::move(job));
  ASSERT_TRUE(done) << done.error().to_string();
  const GgufPlan plan{.context_length = 512, .max_sequences = kSequences, .max_rows = kRows};
  const MemoryUse use = estimate_gguf(shape_of(path), plan);
  const EngineFigures engine = ask_engine(path, 512);
  // How much is repacked depends on this CPU; what is estimated is the most.
  EXPECT_GE(static_cast<double>(use.weights_mapped + use.weights), engine.of("model"));
  const auto resident = static_cast<double>(fill(path, 512));
  expect_between(static_cast<double>(use.total()), resident, "q4_k_m, context 512: worker");
}

}  // namespace
}  // namespace skerry::runtime::test
