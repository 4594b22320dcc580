#pragma once

// Reading a file once for both of its names: the digest of the whole and the digest of every chunk.

#include <functional>
#include <memory>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/registry/chunk_index.hpp"

#include "buffer_worker.hpp"

namespace skerry::registry {

// Called in order with each chunk while it is still in memory; may keep the buffer.
using OnChunk = std::function<Result<void>(std::uint64_t offset, std::shared_ptr<const Buffer>)>;

// kSizeMismatch if the file does not have `size` bytes.
Result<HashedFile> hash_open_file(File& file,
                                  std::uint64_t size,
                                  std::uint32_t chunk_size,
                                  const OnChunk& on_chunk = {});

// The whole digest alone, in one thread.
Result<Digest> digest_of_file(File& file, std::uint64_t size);

}  // namespace skerry::registry
