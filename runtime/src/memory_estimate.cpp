#include "skerry/runtime/memory_estimate.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

// Engine code and tables, the allocator's slack, thread stacks: what a worker takes with no model.
constexpr std::uint64_t kWorkerBase = 24U << 20U;
constexpr std::uint64_t kOnnxWorkerBase = 40U << 20U;
constexpr std::uint64_t kBytesPerCacheValue = 2;  // F16
constexpr std::uint64_t kFloat = 4;
// Rows that may have logits at once (the llamacpp plugin's limit).
constexpr std::uint64_t kOutputRows = 64;
// Activations alive at a time in one layer, in multiples of the widest one: an assumption on the
// safe side, not yet compared with an engine's own figure.
constexpr std::uint64_t kActivations = 6;

}  // namespace

MemoryUse estimate_gguf(const GgufShape& shape, const GgufPlan& plan) {
  const std::uint64_t heads = std::max(shape.head_count, 1U);
  const std::uint64_t heads_kv = shape.head_count_kv != 0 ? shape.head_count_kv : heads;
  const std::uint64_t key =
      shape.key_length != 0 ? shape.key_length : shape.embedding_length / heads;
  const std::uint64_t value = shape.value_length != 0 ? shape.value_length : key;
  const std::uint64_t context =
      plan.context_length != 0 ? plan.context_length : shape.context_length;
  const std::uint64_t cells = context * std::max(plan.max_sequences, 1U);
  const std::uint64_t rows = std::min<std::uint64_t>(std::max(plan.max_rows, 1U), cells);

  MemoryUse use;
  use.weights_mapped = shape.weights_bytes;
  use.weights = shape.repacked_bytes;
  use.kv = cells * shape.block_count * heads_kv * (key + value) * kBytesPerCacheValue;
  // Hidden states of a batch, its attention mask over the cache, logits of the rows that want them.
  use.compute = kWorkerBase + rows * shape.embedding_length * kFloat * kActivations +
                rows * cells * kFloat + 2 * kOutputRows * shape.vocabulary * kFloat;
  return use;
}

MemoryUse estimate_onnx(std::uint64_t file_bytes, std::uint64_t largest_activation_bytes) {
  MemoryUse use;
  use.weights_mapped = file_bytes;
  use.weights = 2 * file_bytes;
  use.compute = kOnnxWorkerBase + 4 * largest_activation_bytes;
  return use;
}

}  // namespace skerry::runtime
