#include "skerry/registry/chunk_index.hpp"

#include <algorithm>
#include <bit>

#include "skerry/common/sha256_lanes.hpp"

namespace skerry::registry {

Result<void> check_chunking(std::uint64_t size, std::uint64_t chunk_size) {
  if (chunk_size < kMinChunkSize || chunk_size > kMaxChunkSize ||
      !std::has_single_bit(chunk_size)) {
    return Error{Error::Code::kInvalidArgument,
                 "chunk size " + std::to_string(chunk_size) +
                     " must be a power of two from 262144 to 16777216"};
  }
  if (size == 0 || size > kMaxBlobSize) {
    return Error{Error::Code::kInvalidArgument,
                 "blob size " + std::to_string(size) + " must be 1 to " +
                     std::to_string(kMaxBlobSize) + " bytes"};
  }
  if (chunk_count(size, static_cast<std::uint32_t>(chunk_size)) > kMaxChunks) {
    return Error{Error::Code::kInvalidArgument,
                 "blob size " + std::to_string(size) + " makes more than " +
                     std::to_string(kMaxChunks) + " chunks; use a larger chunk size"};
  }
  return {};
}

std::uint32_t choose_chunk_size(std::uint64_t size) {
  std::uint32_t chunk_size = kDefaultChunkSize;
  while (chunk_size < kMaxChunkSize && chunk_count(size, chunk_size) > kMaxChunks) {
    chunk_size *= 2;
  }
  return chunk_size;
}

ChunkIndex::ChunkIndex(std::vector<Digest> chunks, std::uint64_t size, std::uint32_t chunk_size)
    : chunks_(std::move(chunks)), size_(size), chunk_size_(chunk_size) {
  Sha256 hash;
  for (const auto& chunk : chunks_) {
    hash.update(chunk.bytes());
  }
  digest_ = hash.finish();
}

Result<ChunkIndex> ChunkIndex::parse(ByteView index, std::uint64_t size, std::uint32_t chunk_size) {
  if (auto ok = check_chunking(size, chunk_size); !ok) {
    return ok.error();
  }
  const auto count = chunk_count(size, chunk_size);
  if (index.size() != count * Digest::kSize) {
    return Error{Error::Code::kSizeMismatch,
                 "chunk index has " + std::to_string(index.size()) + " bytes, but " +
                     std::to_string(count) + " chunks need " +
                     std::to_string(count * Digest::kSize)};
  }
  std::vector<Digest> digests;
  digests.reserve(count);
  for (std::size_t offset = 0; offset < index.size(); offset += Digest::kSize) {
    auto digest = Digest::from_bytes(index.subspan(offset, Digest::kSize));
    if (!digest) {
      return std::move(digest).error();
    }
    digests.push_back(*digest);
  }
  return ChunkIndex{std::move(digests), size, chunk_size};
}

Result<ChunkIndex> ChunkIndex::of_single_chunk(const Digest& file,
                                               std::uint64_t size,
                                               std::uint32_t chunk_size) {
  return from_digests({file}, size, chunk_size);
}

Result<ChunkIndex> ChunkIndex::from_digests(std::vector<Digest> digests,
                                            std::uint64_t size,
                                            std::uint32_t chunk_size) {
  if (auto ok = check_chunking(size, chunk_size); !ok) {
    return ok.error();
  }
  if (digests.size() != chunk_count(size, chunk_size)) {
    return Error{Error::Code::kInvalidArgument,
                 std::to_string(digests.size()) + " chunk digests for " +
                     std::to_string(chunk_count(size, chunk_size)) + " chunks"};
  }
  return ChunkIndex{std::move(digests), size, chunk_size};
}

Bytes ChunkIndex::serialise() const {
  Bytes bytes;
  bytes.reserve(chunks_.size() * Digest::kSize);
  for (const auto& chunk : chunks_) {
    bytes.insert(bytes.end(), chunk.bytes().begin(), chunk.bytes().end());
  }
  return bytes;
}

std::uint32_t ChunkIndex::length_of(std::uint64_t chunk) const {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk_size_, size_ - offset_of(chunk)));
}

Result<void> ChunkIndex::check_shape(const Piece& piece) const {
  if (piece.chunk >= count()) {
    return Error{
        Error::Code::kInvalidArgument,
        "chunk " + std::to_string(piece.chunk) + " of a blob that has " + std::to_string(count())};
  }
  if (piece.bytes.size() != length_of(piece.chunk)) {
    return Error{Error::Code::kSizeMismatch,
                 "chunk " + std::to_string(piece.chunk) + " has " +
                     std::to_string(piece.bytes.size()) + " bytes instead of " +
                     std::to_string(length_of(piece.chunk))};
  }
  return {};
}

Result<void> ChunkIndex::check_digest(const Piece& piece, const Digest& found) const {
  if (found != chunks_[piece.chunk]) {
    return Error{Error::Code::kDigestMismatch,
                 "chunk " + std::to_string(piece.chunk) + " does not have the digest sha256:" +
                     chunks_[piece.chunk].hex().substr(0, 12) + "… that the index names"};
  }
  return {};
}

Result<void> ChunkIndex::verify(std::uint64_t chunk, ByteView bytes) const {
  const Piece piece{chunk, bytes};
  if (auto ok = check_shape(piece); !ok) {
    return ok;
  }
  return check_digest(piece, Digest::of(bytes));
}

std::vector<Result<void>> ChunkIndex::verify(std::span<const Piece> pieces) const {
  std::vector<Result<void>> results;
  if (pieces.size() == 2 && check_shape(pieces[0]) && check_shape(pieces[1])) {
    const auto [first, second] = digest_pair(pieces[0].bytes, pieces[1].bytes);
    results.push_back(check_digest(pieces[0], first));
    results.push_back(check_digest(pieces[1], second));
    return results;
  }
  for (const auto& piece : pieces) {
    results.push_back(verify(piece.chunk, piece.bytes));
  }
  return results;
}

}  // namespace skerry::registry
