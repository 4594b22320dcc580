#pragma once

// A split GGUF as `gguf-split` writes it, made of `GgufBytes::small_model()`: every key in the
// first part, the tensors over all of them.

#include <string>
#include <vector>

#include "gguf_bytes.hpp"

namespace skerry::test {

inline constexpr std::uint32_t kGgufU16 = 2;

inline std::vector<GgufBytes> split_small_model() {
  GgufBytes first = GgufBytes::small_model();
  const std::vector<GgufBytes::Tensor> all = first.tensors;
  GgufBytes second;
  GgufBytes third;
  first.tensors = {all[0]};
  first.data_bytes = 1280;
  second.tensors = {all[1]};
  second.tensors[0].offset = 0;
  second.data_bytes = 4352;
  third.tensors = {all[2]};
  third.tensors[0].offset = 0;
  third.data_bytes = 128;
  std::vector<GgufBytes> parts{first, second, third};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i]
        .number("split.no", i, kGgufU16)
        .number("split.count", parts.size(), kGgufU16)
        .number("split.tensors.count", all.size(), 5);
  }
  return parts;
}

}  // namespace skerry::test
