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
// Values of one row that live at a time while llama.cpp computes a layer: three of the model's
// width and three of the feed-forward's (gate, up, their product). Its own reservation is exactly
// that.
constexpr std::uint64_t kWideRows = 3;
// The attention mask is F16.
constexpr std::uint64_t kMaskBytes = 2;
// Padding of the engine's buffers.
constexpr std::uint64_t kComputeSlack = 64U << 10U;

}  // namespace

bool is_repacked_type(std::string_view type) {
  return type == "q4_0" || type == "q4_K" || type == "iq4_nl" || type == "q2_K";
}

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
  const std::uint64_t feed_forward =
      shape.feed_forward_length != 0 ? shape.feed_forward_length : 4ULL * shape.embedding_length;
  // Either a layer's hidden states with the attention mask over the cache, or the logits of the
  // rows that want them; and the logits once more where the host reads them.
  const std::uint64_t layer = rows * kWideRows * (shape.embedding_length + feed_forward) * kFloat;
  const std::uint64_t logits = kOutputRows * shape.vocabulary * kFloat;
  use.compute = kWorkerBase + std::max(layer, rows * shape.embedding_length * kFloat + logits) +
                rows * cells * kMaskBytes + logits + kComputeSlack;
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
