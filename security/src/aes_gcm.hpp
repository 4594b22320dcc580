#pragma once

// AES-256-GCM by OpenSSL, with a key that stays for many messages. Private to security/.

#include <cstdint>
#include <span>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

#include "openssl.hpp"

namespace skerry::security {

// One direction, one thread.
class AesGcm {
 public:
  static constexpr std::size_t kKey = 32;
  static constexpr std::size_t kNonce = 12;
  static constexpr std::size_t kTag = 16;

  enum class Way { kSeal, kOpen };
  static Result<AesGcm> make(Way way, ByteView key);

  // `out` has the plain bytes and the tag behind them.
  Result<void> seal(ByteView nonce, ByteView aad, ByteView plain, std::span<std::uint8_t> out);
  // kDigestMismatch if it was not sealed so.
  Result<void> open(ByteView nonce, ByteView aad, ByteView sealed, std::span<std::uint8_t> out);

 private:
  using CtxPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDelete<EVP_CIPHER_CTX_free>>;
  explicit AesGcm(CtxPtr context) : context_(std::move(context)) {}
  // Nonce, associated data and body; the tag is the caller's.
  bool update(ByteView nonce, ByteView aad, ByteView in, std::uint8_t* out);

  CtxPtr context_;
};

}  // namespace skerry::security
