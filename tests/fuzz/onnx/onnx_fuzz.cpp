// Any bytes as an ONNX file: the check ends, and what it admits is consistent.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "skerry/registry/onnx_check.hpp"

#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  skerry::test::MemoryFile file{std::string{reinterpret_cast<const char*>(data), size}};
  skerry::registry::OnnxLimits limits;
  limits.external_files["weights.bin"] = 4096;
  const auto summary = skerry::registry::check_onnx(file, limits);
  if (summary && (summary->outputs.empty() || summary->file_bytes != size ||
                  summary->opset < limits.min_opset || summary->external_files.size() > 1)) {
    std::abort();
  }
  return 0;
}
