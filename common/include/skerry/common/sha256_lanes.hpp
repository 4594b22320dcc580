#pragma once

// SHA-256 of two messages at once. One stream waits for its own previous round most of the time; a
// processor with the SHA instructions has room for a second one beside it, so two cost little more
// than one. The registry hashes chunks in pairs by it, and a file together with its chunks. On
// other processors everything here is done one after the other by OpenSSL, with the same results.

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"

namespace skerry {

// True where two lanes cost less than two passes (x86-64 with the SHA extensions).
[[nodiscard]] bool sha256_lanes_pay();

// The digests of both; fast where they have the same length.
[[nodiscard]] std::pair<Digest, Digest> digest_pair(ByteView first, ByteView second);

// A stream that is hashed as a whole and in pieces, in one pass. Not thread-safe.
class PiecewiseSha256 {
 public:
  PiecewiseSha256();
  ~PiecewiseSha256();
  PiecewiseSha256(const PiecewiseSha256&) = delete;
  PiecewiseSha256& operator=(const PiecewiseSha256&) = delete;

  // Appends the next piece and returns the digest of the piece alone. Every piece but the last must
  // be a multiple of 64 bytes long.
  Digest add(ByteView piece);
  // The digest of everything that was added. Call once, last.
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
