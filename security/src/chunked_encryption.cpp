// The step names are those of c2sp.org/chunked-encryption.

#include "skerry/security/chunked_encryption.hpp"

#include <algorithm>
#include <string>

#include <openssl/crypto.h>

#include "skerry/common/random.hpp"

#include "aes_gcm.hpp"
#include "hkdf.hpp"

namespace skerry::security {

namespace {

using namespace std::string_view_literals;

// "Key derivation": the label and the IANA name of the AEAD, with the zero byte that ends it.
constexpr std::string_view kLabel = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"sv;
constexpr std::size_t kCommitment = 32;
// OpenSSL's HKDF takes at most a kilobyte of info.
constexpr std::size_t kMaxContext = 512;
constexpr std::size_t kCounterBytes = 5;

std::size_t pieces(std::size_t size, std::size_t piece) {
  return std::max<std::size_t>(1, (size + piece - 1) / piece);
}

// "AEAD usage": the base nonce XOR the chunk's number, big-endian.
std::array<std::uint8_t, AesGcm::kNonce> nonce_of(
    const std::array<std::uint8_t, AesGcm::kNonce>& base, std::uint64_t chunk) {
  auto nonce = base;
  for (std::size_t i = 0; i < kCounterBytes; ++i) {
    nonce[AesGcm::kNonce - 1 - i] ^= static_cast<std::uint8_t>(chunk >> (8U * i));
  }
  return nonce;
}

Error beyond_the_limit() {
  return {Error::Code::kTooLarge, "a sealed message has at most 2^38 chunks"};
}

}  // namespace

std::uint64_t ChunkedMessage::sealed_size(std::uint64_t plain) {
  // The last chunk is shorter, or empty: there is one more than whole ones.
  return kHeader + plain + (plain / kChunk + 1) * kTag;
}

Result<std::uint64_t> ChunkedMessage::plain_size(std::uint64_t sealed) {
  const Error cut{Error::Code::kSizeMismatch,
                  std::to_string(sealed) + " bytes are no whole sealed message: it was cut"};
  if (sealed < kHeader + kTag) {
    return cut;
  }
  const std::uint64_t body = sealed - kHeader;
  const std::uint64_t whole = body / kSealedChunk;
  const std::uint64_t rest = body % kSealedChunk;
  if (rest < kTag) {
    return cut;
  }
  if (whole >= kMaxChunks) {
    return beyond_the_limit();
  }
  return whole * kChunk + rest - kTag;
}

Result<ChunkedMessage> ChunkedMessage::derive(ByteView key, ByteView salt, ByteView context) {
  if (key.size() != kKey) {
    return Error{Error::Code::kKeyInvalid,
                 "a key of " + std::to_string(key.size()) + " bytes; 32 are needed"};
  }
  if (context.size() > kMaxContext) {
    return Error{Error::Code::kInvalidArgument, "the context of a sealed message is too long"};
  }
  Bytes info;
  for (const ByteView part : {as_bytes(kLabel), salt, context}) {
    info.insert(info.end(), part.begin(), part.end());
  }
  std::array<std::uint8_t, kKey + AesGcm::kNonce + kCommitment> derived{};
  if (auto done = hkdf_expand("SHA512", key, info, derived); !done) {
    return done.error();
  }
  ChunkedMessage message;
  auto at = derived.begin();
  std::copy_n(at, kKey, message.key_.begin());
  std::copy_n(at + kKey, AesGcm::kNonce, message.base_nonce_.begin());
  std::copy(salt.begin(), salt.end(), message.header_.begin());
  std::copy_n(at + kKey + AesGcm::kNonce, kCommitment, message.header_.begin() + kSalt);
  OPENSSL_cleanse(derived.data(), derived.size());
  return message;
}

Result<ChunkedMessage> ChunkedMessage::create(ByteView key, ByteView context) {
  std::array<std::uint8_t, kSalt> salt{};
  SystemRandom{}.fill(salt);
  return derive(key, salt, context);
}

Result<ChunkedMessage> ChunkedMessage::open(ByteView key, ByteView header, ByteView context) {
  if (header.size() < kHeader) {
    return Error{Error::Code::kSizeMismatch, "the header of a sealed message was cut"};
  }
  auto message = derive(key, header.first(kSalt), context);
  if (message && !equal_constant_time(message->header_, header.first(kHeader))) {
    return Error{Error::Code::kKeyInvalid,
                 "it was sealed with another key, or its header was changed"};
  }
  return message;
}

ChunkedMessage::~ChunkedMessage() {
  OPENSSL_cleanse(key_.data(), key_.size());
  OPENSSL_cleanse(base_nonce_.data(), base_nonce_.size());
}

Result<void> ChunkedMessage::seal(std::uint64_t first,
                                  ByteView plain,
                                  std::span<std::uint8_t> out) const {
  const std::size_t count = pieces(plain.size(), kChunk);
  if (out.size() != plain.size() + count * kTag) {
    return Error{Error::Code::kInvalidArgument, "no room for the tags of sealed chunks"};
  }
  if (first >= kMaxChunks || kMaxChunks - first < count) {
    return beyond_the_limit();
  }
  auto cipher = AesGcm::make(AesGcm::Way::kSeal, key_);
  if (!cipher) {
    return cipher.error();
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto piece = plain.subspan(i * kChunk, std::min(kChunk, plain.size() - i * kChunk));
    auto sealed = out.subspan(i * kSealedChunk, piece.size() + kTag);
    if (auto done = cipher->seal(nonce_of(base_nonce_, first + i), {}, piece, sealed); !done) {
      return done;
    }
  }
  return {};
}

Result<void> ChunkedMessage::unseal(std::uint64_t first,
                                    ByteView sealed,
                                    std::span<std::uint8_t> out) const {
  const std::size_t count = pieces(sealed.size(), kSealedChunk);
  if (sealed.size() < count * kTag || out.size() != sealed.size() - count * kTag) {
    return Error{Error::Code::kInvalidArgument, "no room for the bytes of sealed chunks"};
  }
  if (first >= kMaxChunks || kMaxChunks - first < count) {
    return beyond_the_limit();
  }
  auto cipher = AesGcm::make(AesGcm::Way::kOpen, key_);
  if (!cipher) {
    return cipher.error();
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto piece =
        sealed.subspan(i * kSealedChunk, std::min(kSealedChunk, sealed.size() - i * kSealedChunk));
    if (piece.size() < kTag) {
      return Error{Error::Code::kInvalidArgument, "a sealed chunk is shorter than its tag"};
    }
    auto plain = out.subspan(i * kChunk, piece.size() - kTag);
    if (auto done = cipher->open(nonce_of(base_nonce_, first + i), {}, piece, plain); !done) {
      return done.error().with_context("sealed chunk " + std::to_string(first + i));
    }
  }
  return {};
}

Result<Bytes> seal_message(ByteView key, ByteView context, ByteView plain) {
  const auto message = ChunkedMessage::create(key, context);
  if (!message) {
    return message.error();
  }
  Bytes out(ChunkedMessage::sealed_size(plain.size()));
  std::copy(message->header().begin(), message->header().end(), out.begin());
  auto body = std::span{out}.subspan(ChunkedMessage::kHeader);
  const std::uint64_t whole = plain.size() / ChunkedMessage::kChunk;
  if (whole > 0) {
    auto done = message->seal(0,
                              plain.first(whole * ChunkedMessage::kChunk),
                              body.first(whole * ChunkedMessage::kSealedChunk));
    if (!done) {
      return done.error();
    }
  }
  auto done = message->seal(whole,
                            plain.subspan(whole * ChunkedMessage::kChunk),
                            body.subspan(whole * ChunkedMessage::kSealedChunk));
  return done ? Result<Bytes>{std::move(out)} : done.error();
}

Result<Bytes> open_message(ByteView key, ByteView context, ByteView sealed) {
  const auto message = ChunkedMessage::open(key, sealed, context);
  if (!message) {
    return message.error();
  }
  const auto size = ChunkedMessage::plain_size(sealed.size());
  if (!size) {
    return size.error();
  }
  Bytes plain(*size);
  auto done = message->unseal(0, sealed.subspan(ChunkedMessage::kHeader), plain);
  return done ? Result<Bytes>{std::move(plain)} : done.error();
}

}  // namespace skerry::security
