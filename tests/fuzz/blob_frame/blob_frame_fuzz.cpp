// A BlobChunk cut into two pieces at every place must read as it does in one.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "skerry/agent/blob_frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const skerry::ByteView all{data, size};
  const std::vector<skerry::ByteView> one{all};
  const auto whole = skerry::agent::parse_blob_frame(one);
  const std::size_t cut = size / 2;
  const std::vector<skerry::ByteView> two{all.first(cut), all.subspan(cut)};
  const auto parts = skerry::agent::parse_blob_frame(two);
  if (whole.has_value() != parts.has_value() ||
      (whole && (whole->offset != parts->offset || whole->size() != parts->size()))) {
    std::abort();
  }
  return 0;
}
