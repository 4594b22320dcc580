#pragma once

// The tensors of a model file, whatever its format: what two versions are compared by.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"

namespace skerry::registry::delta {

struct Tensor {
  std::string name;
  std::string shape;  // equal text: equal type and shape
  std::optional<std::uint8_t> coding;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// In the order of their bytes, not overlapping, inside the file. Empty for a file that is neither a
// GGUF nor a safetensors file in order: it is compared as plain bytes then.
std::vector<Tensor> tensors_of(File& file, std::uint64_t size);

}  // namespace skerry::registry::delta
