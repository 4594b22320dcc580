// The path and ranges of blob requests: anything but the exact forms is refused, and what is taken
// lies within the blob.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/agent/blob_http.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skerry::agent;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (const auto digest = parse_blob_path(text);
      digest && text.substr(text.size() - 64) != digest->hex()) {
    std::abort();
  }
  constexpr std::uint64_t kSize = 4096;
  if (const auto range = parse_byte_range(text, kSize);
      range && (range->first > range->last || range->last >= kSize)) {
    std::abort();
  }
  if (const auto range = parse_content_range(text); range && range->first > range->last) {
    std::abort();
  }
  return 0;
}
