#pragma once

// A blob as a signed manifest names it: its digest together with the chunk index that verifies it
// piece by piece. The pair is what was signed, and what `BlobStore` checks a held file against.

#include <cstdint>

#include "skerry/common/digest.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

struct WantedBlob {
  Digest digest;
  std::uint64_t size = 0;
  std::uint32_t chunk_size = kDefaultChunkSize;
  Digest chunks;  // of the chunk index

  static WantedBlob from(const ManifestFile& file) {
    return {file.digest, file.size, file.chunk_size, file.chunks};
  }

  friend bool operator==(const WantedBlob&, const WantedBlob&) = default;
};

}  // namespace skerry::registry
