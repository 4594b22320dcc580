#pragma once

// Where each tensor of a GGUF file lies, read by the strict parser of gguf_check.hpp with the same
// limits. Used to compare two files tensor by tensor.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/gguf_check.hpp"

namespace skerry::registry {

struct GgufTensor {
  std::string name;
  std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
  std::uint32_t type = 0;    // ggml's number
  std::uint64_t offset = 0;  // from the start of the file
  std::uint64_t bytes = 0;
};

struct GgufLayout {
  std::uint64_t data_offset = 0;
  std::vector<GgufTensor> tensors;  // in the order of the file's table
};

// As check_gguf. `file` is not kept.
Result<GgufLayout> read_gguf_layout(File& file, const GgufLimits& limits = {});

}  // namespace skerry::registry
