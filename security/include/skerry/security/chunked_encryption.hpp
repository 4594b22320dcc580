#pragma once

// Encryption of a large message that can be read at any place: c2sp.org/chunked-encryption, in the
// instantiation Cobblestone-256 (HKDF-Expand with SHA-512, AES-256-GCM, chunks of 16 KiB). The
// registry keeps its blobs in it. A message is salt (24 bytes), commitment (32), then each chunk
// with its tag; the last chunk is always shorter than the others, so that a message that was cut is
// known by its length.
//
// The key of a message is derived from the input key and the salt, and a chunk's nonce from its
// number: sealing one chunk twice with other bytes would give both away. Who rewrites a chunk of a
// message writes the same bytes, or starts a new message.

#include <array>
#include <cstdint>
#include <span>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

class ChunkedMessage {
 public:
  static constexpr std::size_t kKey = 32;
  static constexpr std::size_t kSalt = 24;
  static constexpr std::size_t kHeader = 56;
  static constexpr std::size_t kChunk = 16384;
  static constexpr std::size_t kTag = 16;
  static constexpr std::size_t kSealedChunk = kChunk + kTag;
  // 2^38 chunks ("Message chunking").
  static constexpr std::uint64_t kMaxChunks = 1ULL << 38U;
  using Header = std::array<std::uint8_t, kHeader>;

  // The bytes of a message for `plain` bytes, and back: kSizeMismatch for a size that no whole
  // message has ("Implementation notes").
  static std::uint64_t sealed_size(std::uint64_t plain);
  static Result<std::uint64_t> plain_size(std::uint64_t sealed);
  // Where a chunk starts in the message.
  static std::uint64_t offset_of(std::uint64_t chunk) { return kHeader + chunk * kSealedChunk; }

  // A new message with a salt of its own. `key` has 32 bytes that are uniformly random; who opens
  // it must know the same `context`. kKeyInvalid for a key of another size.
  static Result<ChunkedMessage> create(ByteView key, ByteView context);
  // kSizeMismatch for a short header; kKeyInvalid if the commitment says that it was made with
  // another key or context (or that the header was changed).
  static Result<ChunkedMessage> open(ByteView key, ByteView header, ByteView context);
  ~ChunkedMessage();
  ChunkedMessage(ChunkedMessage&&) noexcept = default;
  ChunkedMessage& operator=(ChunkedMessage&&) noexcept = default;
  ChunkedMessage(const ChunkedMessage&) = delete;
  ChunkedMessage& operator=(const ChunkedMessage&) = delete;

  [[nodiscard]] const Header& header() const { return header_; }

  // Chunks from `first` on: whole ones, of which only the last may be shorter (an empty `plain` is
  // one empty chunk). `out` has `kTag` bytes more for each. Thread-safe.
  Result<void> seal(std::uint64_t first, ByteView plain, std::span<std::uint8_t> out) const;
  // The reverse; `out` has `kTag` bytes fewer for each. kDigestMismatch if one is not what was
  // sealed at its place; nothing of `out` may be used then. Thread-safe.
  Result<void> unseal(std::uint64_t first, ByteView sealed, std::span<std::uint8_t> out) const;

 private:
  ChunkedMessage() = default;
  static Result<ChunkedMessage> derive(ByteView key, ByteView salt, ByteView context);

  Header header_{};
  std::array<std::uint8_t, kKey> key_{};
  std::array<std::uint8_t, 12> base_nonce_{};
};

// A small message as a whole, and back (errors of `open` and `unseal`).
Result<Bytes> seal_message(ByteView key, ByteView context, ByteView plain);
Result<Bytes> open_message(ByteView key, ByteView context, ByteView sealed);

}  // namespace skerry::security
