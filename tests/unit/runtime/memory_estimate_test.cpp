#include "skerry/runtime/memory_estimate.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

// The shipped log-triage model (examples/models/log-triage/README.md).
GgufShape log_triage() {
  return {.weights_bytes = 5'600'000,
          .repacked_bytes = 0,
          .block_count = 4,
          .embedding_length = 256,
          .feed_forward_length = 512,
          .head_count = 4,
          .head_count_kv = 2,
          .key_length = 64,
          .value_length = 64,
          .vocabulary = 1024,
          .context_length = 512};
}

TEST(MemoryEstimate, CacheIsCountedPerCell) {
  const MemoryUse use = estimate_gguf(log_triage(), {.context_length = 512, .max_sequences = 4});
  // cells x layers x heads x (key + value) x 2 bytes
  EXPECT_EQ(use.kv, 2048ULL * 4 * 2 * 128 * 2);
  EXPECT_EQ(use.weights_mapped, 5'600'000U);
}

TEST(MemoryEstimate, GrowsWithContextSequencesAndRows) {
  const auto total = [](const GgufPlan& plan) { return estimate_gguf(log_triage(), plan).total(); };
  const std::uint64_t base = total({.context_length = 256, .max_sequences = 1, .max_rows = 64});
  EXPECT_LT(base, total({.context_length = 512, .max_sequences = 1, .max_rows = 64}));
  EXPECT_LT(base, total({.context_length = 256, .max_sequences = 2, .max_rows = 64}));
  EXPECT_LT(base, total({.context_length = 256, .max_sequences = 1, .max_rows = 128}));
}

TEST(MemoryEstimate, SurvivesAShapeOfZeros) {
  EXPECT_EQ(estimate_gguf({}, {}).kv, 0U);
}

TEST(MemoryEstimate, RepackedWeightsCountTwice) {
  GgufShape shape = log_triage();
  shape.repacked_bytes = 1000;
  EXPECT_EQ(estimate_gguf(shape, {}).total(), estimate_gguf(log_triage(), {}).total() + 1000);
}

}  // namespace
}  // namespace skerry::runtime
