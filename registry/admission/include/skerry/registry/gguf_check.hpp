#pragma once

// Admission of a GGUF file: a strict reader of its own that runs before any engine sees the file,
// because loading a hostile GGUF is enough to break an engine. The agent calls it when all blobs of
// a variant are present, the command line before it uploads. What is read and what is refused:
// docs/formats/admission.md.
//
// The file is read by position through a small window and never mapped; memory is bounded by the
// limits, not by the file. The calls block, keep no state and may run on any thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

struct GgufLimits {
  std::uint64_t max_keys = 4096;
  std::uint64_t max_key_bytes = 256;
  // Any single string but a chat template, which has the same limit.
  std::uint64_t max_string_bytes = 1U << 20U;
  std::uint64_t max_array_elements = 1U << 21U;
  std::uint64_t max_tensors = 1U << 17U;
  std::uint64_t max_tensor_name_bytes = 64;
  // Everything before the tensor data.
  std::uint64_t max_metadata_bytes = 64U << 20U;
  std::uint64_t max_block_count = 512;
  // False admits a vocabulary-only file (no tensors, no model shape).
  bool require_tensors = true;
};

// Tensors of one ggml type.
struct GgufTypeUse {
  std::uint64_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

struct GgufSummary {
  std::uint32_t version = 0;
  std::string architecture;
  std::string name;
  std::string license;
  std::uint64_t keys = 0;
  std::uint64_t tensors = 0;
  // Elements over all tensors.
  std::uint64_t parameters = 0;
  std::uint64_t weights_bytes = 0;
  // Where tensor data starts, and the length of the file.
  std::uint64_t data_offset = 0;
  std::uint64_t file_bytes = 0;
  // By ggml's name of the type ("q4_K"); the truth about quantization.
  std::map<std::string, GgufTypeUse> types;
  // The type that holds most elements.
  std::string dominant_type;
  // general.file_type, which is only a claim (15 = Q4_K_M, 7 = Q8_0, 1 = F16).
  std::optional<std::uint32_t> claimed_file_type;

  std::uint64_t context_length = 0;
  std::uint64_t block_count = 0;
  std::uint64_t embedding_length = 0;
  std::uint64_t feed_forward_length = 0;
  // The largest over the layers, where the file gives one per layer.
  std::uint64_t head_count = 0;
  std::uint64_t head_count_kv = 0;
  std::uint64_t key_length = 0;
  std::uint64_t value_length = 0;
  std::uint64_t vocabulary_size = 0;
  // Keys and values of one token over all layers with an f16 cache.
  std::uint64_t kv_bytes_per_token = 0;

  std::string tokenizer_model;
  // A chat template is executable text; policy may allow it by its digest.
  std::optional<Digest> chat_template;
  // split.no and split.count of a file that is one part of several.
  std::uint64_t split_number = 0;
  std::uint64_t split_count = 1;
};

// Reads and checks the whole structure of `file`. kModelFormat says what is wrong, where (byte
// offset, key or tensor name) and what was expected; kTooLarge when a limit is passed; kIo if the
// file cannot be read. `file` is not kept.
Result<GgufSummary> check_gguf(File& file, const GgufLimits& limits = {});

}  // namespace skerry::registry
