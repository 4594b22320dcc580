#pragma once

// How many bytes a model will take before it is loaded: what PREFLIGHT compares with the memory
// ledger when it chooses a variant. Arithmetic on figures the admission check has read from the
// file; no engine is asked.

#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/runtime/model_info.hpp"

namespace skerry::runtime {

// The figures of a GGUF file that decide its memory.
struct GgufShape {
  std::uint64_t weights_bytes = 0;  // all tensors as stored
  // The part whose type the CPU backend repacks into a private copy (Q4_0, Q4_K, IQ4_NL, …).
  std::uint64_t repacked_bytes = 0;
  std::uint32_t block_count = 0;
  std::uint32_t embedding_length = 0;
  std::uint32_t feed_forward_length = 0;  // 0: four times embedding_length
  std::uint32_t head_count = 0;
  std::uint32_t head_count_kv = 0;  // 0: as head_count
  std::uint32_t key_length = 0;     // 0: embedding_length / head_count
  std::uint32_t value_length = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context_length = 0;  // trained
};

struct GgufPlan {
  std::uint32_t context_length = 0;  // 0: trained
  std::uint32_t max_sequences = 4;
  std::uint32_t max_rows = 512;
};

// Types (ggml's names, "q4_K") of which the CPU backend keeps a second, interleaved copy.
bool is_repacked_type(std::string_view type);

// F16 KV cache, unified over the sequences. An upper estimate, never below what the engine says it
// allocates nor below what a worker was seen to hold, and at most 1.6 times that:
// tests/integration/runtime/llama_memory_test.cpp compares. The worker's own code is in `compute`.
MemoryUse estimate_gguf(const GgufShape& shape, const GgufPlan& plan);

// Float and QDQ ONNX: weights are held once by the session and once in prepacked form.
MemoryUse estimate_onnx(std::uint64_t file_bytes, std::uint64_t largest_activation_bytes);

}  // namespace skerry::runtime
