// The first 12 bytes are the blob's size and chunk size (little-endian), the rest the index. What
// is accepted has as many digests as the blob has chunks, and survives its bytes.

#include <cstdlib>
#include <cstring>

#include "skerry/registry/chunk_index.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skerry::registry;
  std::uint64_t blob_size = 0;
  std::uint32_t chunk_size = 0;
  if (size < sizeof blob_size + sizeof chunk_size) {
    return 0;
  }
  std::memcpy(&blob_size, data, sizeof blob_size);
  std::memcpy(&chunk_size, data + sizeof blob_size, sizeof chunk_size);
  const skerry::ByteView bytes{data + 12, size - 12};
  const auto index = ChunkIndex::parse(bytes, blob_size, chunk_size);
  if (!index) {
    return 0;
  }
  std::uint64_t total = 0;
  for (std::uint64_t chunk = 0; chunk < index->count(); ++chunk) {
    total += index->length_of(chunk);
  }
  const auto again = index->serialise();
  if (total != blob_size || again.size() != bytes.size() ||
      std::memcmp(again.data(), bytes.data(), again.size()) != 0 ||
      skerry::Digest::of(bytes) != index->digest()) {
    std::abort();
  }
  if (index->verify(index->count(), bytes)) {
    std::abort();
  }
  return 0;
}
