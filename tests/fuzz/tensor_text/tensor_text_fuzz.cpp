// Tensor files of `skerry infer`: whatever is read is written again and reads the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "skerry/cli/tensor_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto tensor = skerry::cli::parse_tensor("x", text);
  if (!tensor) {
    return 0;
  }
  const auto json = skerry::cli::tensor_to_json(*tensor);
  if (!json) {
    std::abort();
  }
  const auto again = skerry::cli::parse_tensor("x", json->dump());
  // Numbers that are no JSON (infinities from overflowing casts) need not survive.
  if (again && again->shape != tensor->shape) {
    std::abort();
  }
  return 0;
}
