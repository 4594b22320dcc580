#include "skerry/common/digest.hpp"

#include <algorithm>
#include <cstdlib>

#include <openssl/evp.h>

namespace skerry {
namespace {

constexpr std::string_view kPrefix = "sha256:";

// Hashing memory cannot fail short of a broken libcrypto, after which nothing could be trusted.
void require(int openssl_result) {
  if (openssl_result != 1) {
    std::abort();
  }
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) {
    return Error{Error::Code::kParse, "digest must start with \"sha256:\""};
  }
  return from_hex(text.substr(kPrefix.size()));
}

Result<Digest> Digest::from_hex(std::string_view hex) {
  if (hex.size() != 2 * kSize) {
    return Error{Error::Code::kParse,
                 "SHA-256 digest of " + std::to_string(hex.size()) + " characters, expected 64"};
  }
  const auto bytes = skerry::from_hex(hex);
  if (!bytes) {
    return bytes.error().with_context("digest");
  }
  return from_bytes(*bytes);
}

Result<Digest> Digest::from_bytes(ByteView bytes) {
  if (bytes.size() != kSize) {
    return Error{Error::Code::kParse,
                 "SHA-256 digest of " + std::to_string(bytes.size()) + " bytes, expected 32"};
  }
  Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.bytes_.begin());
  return digest;
}

Digest Digest::of(ByteView data) {
  Digest digest;
  unsigned int length = 0;
  require(
      EVP_Digest(data.data(), data.size(), digest.bytes_.data(), &length, EVP_sha256(), nullptr));
  return digest;
}

bool Digest::is_zero() const noexcept {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Impl() { require(EVP_DigestInit_ex(context, EVP_sha256(), nullptr)); }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView data) {
  require(EVP_DigestUpdate(impl_->context, data.data(), data.size()));
}

Digest Sha256::finish() {
  std::array<std::uint8_t, Digest::kSize> bytes{};
  unsigned int length = 0;
  require(EVP_DigestFinal_ex(impl_->context, bytes.data(), &length));
  require(EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr));
  return Digest{bytes};
}

}  // namespace skerry
