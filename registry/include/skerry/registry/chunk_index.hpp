#pragma once

// The verified pieces of a blob: the SHA-256 of each chunk, in order. The index is itself a blob
// (32 bytes per chunk) whose digest stands in the signed manifest, so that one bad byte on the way
// costs one chunk and a restart costs none. Used by the blob store, the fetcher and `skerry fleet
// push`.

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

inline constexpr std::uint32_t kMinChunkSize = 256U << 10U;
inline constexpr std::uint32_t kMaxChunkSize = 16U << 20U;
inline constexpr std::uint32_t kDefaultChunkSize = 1U << 20U;
// Chunks per blob; the index of one is at most 32 MiB.
inline constexpr std::uint64_t kMaxChunks = 1U << 20U;
// kMaxChunks chunks of the largest size are more than any file system here; this is the limit that
// counts.
inline constexpr std::uint64_t kMaxBlobSize = 1ULL << 40U;

// kInvalidArgument unless `chunk_size` is a power of two within the limits and `size` is 1 to
// kMaxBlobSize and makes at most kMaxChunks chunks.
Result<void> check_chunking(std::uint64_t size, std::uint64_t chunk_size);

// The smallest chunk size from kDefaultChunkSize on that keeps `size` within kMaxChunks.
std::uint32_t choose_chunk_size(std::uint64_t size);

inline std::uint64_t chunk_count(std::uint64_t size, std::uint32_t chunk_size) {
  return (size + chunk_size - 1) / chunk_size;
}

// A value type. Every instance is consistent: the number of digests fits the size.
class ChunkIndex {
 public:
  // From the bytes of an index blob; kSizeMismatch if there are not exactly 32 per chunk.
  static Result<ChunkIndex> parse(ByteView index, std::uint64_t size, std::uint32_t chunk_size);
  // The index of a file that is one chunk is known without fetching it: kInvalidArgument if `size`
  // makes more than one.
  static Result<ChunkIndex> of_single_chunk(const Digest& file,
                                            std::uint64_t size,
                                            std::uint32_t chunk_size);
  // From chunk digests in order.
  static Result<ChunkIndex> from_digests(std::vector<Digest> digests,
                                         std::uint64_t size,
                                         std::uint32_t chunk_size);

  // The bytes of the index blob.
  [[nodiscard]] Bytes serialise() const;
  // The digest of those bytes: `chunks` in a manifest.
  [[nodiscard]] const Digest& digest() const { return digest_; }

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] std::uint32_t chunk_size() const { return chunk_size_; }
  [[nodiscard]] std::uint64_t count() const { return chunks_.size(); }
  [[nodiscard]] std::uint64_t offset_of(std::uint64_t chunk) const { return chunk * chunk_size_; }
  // The last chunk may be shorter.
  [[nodiscard]] std::uint32_t length_of(std::uint64_t chunk) const;
  // `chunk` must be below count().
  [[nodiscard]] const Digest& chunk(std::uint64_t chunk) const { return chunks_[chunk]; }

  // kSizeMismatch or kDigestMismatch naming the chunk. Thread-safe.
  [[nodiscard]] Result<void> verify(std::uint64_t chunk, ByteView bytes) const;
  // One or two chunks, the two hashed at once. One result for each, in order.
  struct Piece {
    std::uint64_t chunk = 0;
    ByteView bytes;
  };
  [[nodiscard]] std::vector<Result<void>> verify(std::span<const Piece> pieces) const;

  friend bool operator==(const ChunkIndex&, const ChunkIndex&) = default;

 private:
  ChunkIndex(std::vector<Digest> chunks, std::uint64_t size, std::uint32_t chunk_size);
  [[nodiscard]] Result<void> check_shape(const Piece& piece) const;
  [[nodiscard]] Result<void> check_digest(const Piece& piece, const Digest& found) const;

  std::vector<Digest> chunks_;
  std::uint64_t size_ = 0;
  std::uint32_t chunk_size_ = kDefaultChunkSize;
  Digest digest_;
};

// A file's digest and chunk index, computed on all cores (one reads and hashes the whole, the
// others hash chunks).
struct HashedFile {
  Digest digest;
  ChunkIndex index;
};

// Blocks. kInvalidArgument for an empty file.
Result<HashedFile> hash_file(FileSystem& fs,
                             const std::filesystem::path& path,
                             std::uint32_t chunk_size = kDefaultChunkSize);
// The same for an open file.
Result<HashedFile> hash_file(File& file, std::uint32_t chunk_size = kDefaultChunkSize);

}  // namespace skerry::registry
