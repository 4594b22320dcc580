#pragma once

// Reading a file for its names: the digest of the whole, the digest of every chunk, or the check
// against a chunk index that is known. Chunks are hashed on all cores; the whole is one stream.

#include <functional>
#include <memory>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/registry/chunk_index.hpp"

#include "buffer_worker.hpp"

namespace skerry::registry {

// Called with each chunk while it is still in memory, from several threads, in no order.
using OnChunk = std::function<Result<void>(std::uint64_t offset, ByteView bytes)>;

// Both digests. kSizeMismatch if the file does not have `size` bytes.
Result<HashedFile> hash_open_file(File& file,
                                  std::uint64_t size,
                                  std::uint32_t chunk_size,
                                  const OnChunk& on_chunk = {});

// The whole digest alone, in one thread. With `before_read`, which is told how many bytes come next
// and may stop it, the kernel's copies are dropped first and afterwards.
Result<Digest> digest_of_file(File& file,
                              std::uint64_t size,
                              const std::function<Result<void>(std::size_t)>& before_read = {});

// Reads `chunks` of the file on all cores, this thread included, checks each against `index` and
// hands it to `good`, or its number and the reason to `bad`. Both are called from several threads,
// in no order. Stops at the first error that one of them returns or a read meets.
using OnBadChunk = std::function<Result<void>(std::uint64_t chunk, const Error& why)>;
Result<void> check_chunks(File& file,
                          const ChunkIndex& index,
                          std::span<const std::uint64_t> chunks,
                          const OnChunk& good,
                          const OnBadChunk& bad);

// The same for all chunks; the first wrong one is an error (kDigestMismatch).
Result<void> check_file(File& file, const ChunkIndex& index, const OnChunk& on_chunk = {});

}  // namespace skerry::registry
