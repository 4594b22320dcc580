// Any bytes as the parts of a split GGUF: joining ends, and what it gives reads as its size says.

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/gguf_join.hpp"

#include "memory_file.hpp"

// parts:u8 (1 to 4), then for each but the last length:u16, then their bytes one after the other.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::size_t count = data[0] % 4U + 1;
  std::size_t at = 1 + 2 * (count - 1);
  if (size < at) {
    return 0;
  }
  std::vector<std::unique_ptr<skerry::File>> parts;
  std::size_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t length = size - at;
    if (i + 1 < count) {
      const std::size_t wanted = data[1 + 2 * i] | (std::size_t{data[2 + 2 * i]} << 8U);
      length = wanted < length ? wanted : length;
    }
    parts.push_back(std::make_unique<skerry::test::MemoryFile>(
        std::string{reinterpret_cast<const char*>(data) + at, length}));
    at += length;
    total += length;
  }
  const auto joined = skerry::registry::join_gguf(std::move(parts));
  if (!joined) {
    return 0;
  }
  const auto status = (*joined)->status();
  // Headers are rewritten with at most 8 bytes more per tensor, and padded.
  if (!status || status->size > 2 * total + 4096 * 8) {
    std::abort();
  }
  std::string content(status->size, '\0');
  const auto read =
      (*joined)->read_at(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  if (!read || *read != content.size()) {
    std::abort();
  }
  skerry::test::MemoryFile copy{content};
  const auto direct = skerry::registry::check_gguf(**joined);
  const auto copied = skerry::registry::check_gguf(copy);
  if (static_cast<bool>(direct) != static_cast<bool>(copied)) {
    std::abort();
  }
  return 0;
}
