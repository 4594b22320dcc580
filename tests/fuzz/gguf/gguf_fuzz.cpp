// Any bytes as a GGUF file: the check ends, and what it admits is consistent.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "skerry/registry/gguf_check.hpp"

#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  skerry::test::MemoryFile file{std::string{reinterpret_cast<const char*>(data), size}};
  skerry::registry::GgufLimits limits;
  limits.require_tensors = size % 2 == 0;
  const auto summary = skerry::registry::check_gguf(file, limits);
  if (summary && (summary->weights_bytes > size || summary->data_offset > size ||
                  summary->block_count > limits.max_block_count ||
                  file.largest_read() > limits.max_string_bytes)) {
    std::abort();
  }
  return 0;
}
