#include "aes_gcm.hpp"

#include <array>

namespace skerry::security {

Result<AesGcm> AesGcm::make(Way way, ByteView key) {
  CtxPtr context{EVP_CIPHER_CTX_new()};
  if (key.size() != kKey || context == nullptr ||
      EVP_CipherInit_ex2(context.get(),
                         EVP_aes_256_gcm(),
                         key.data(),
                         nullptr,
                         way == Way::kSeal ? 1 : 0,
                         nullptr) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, "AES-256-GCM");
  }
  return AesGcm{std::move(context)};
}

bool AesGcm::update(ByteView nonce, ByteView aad, ByteView in, std::uint8_t* out) {
  int done = 0;
  if (nonce.size() != kNonce ||
      EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), -1, nullptr) != 1) {
    return false;
  }
  if (!aad.empty() &&
      EVP_CipherUpdate(context_.get(), nullptr, &done, aad.data(), static_cast<int>(aad.size())) !=
          1) {
    return false;
  }
  return in.empty() ||
         EVP_CipherUpdate(context_.get(), out, &done, in.data(), static_cast<int>(in.size())) == 1;
}

Result<void> AesGcm::seal(ByteView nonce,
                          ByteView aad,
                          ByteView plain,
                          std::span<std::uint8_t> out) {
  int done = 0;
  if (out.size() != plain.size() + kTag || !update(nonce, aad, plain, out.data()) ||
      EVP_CipherFinal_ex(context_.get(), out.data() + plain.size(), &done) != 1 ||
      EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, kTag, out.data() + plain.size()) !=
          1) {
    return openssl_error(Error::Code::kInternal, "sealing with AES-256-GCM");
  }
  return {};
}

Result<void> AesGcm::open(ByteView nonce,
                          ByteView aad,
                          ByteView sealed,
                          std::span<std::uint8_t> out) {
  if (sealed.size() < kTag || out.size() != sealed.size() - kTag) {
    return Error{Error::Code::kDigestMismatch, "too short for its tag"};
  }
  std::array<std::uint8_t, kTag> tag{};
  const auto end = sealed.last(kTag);
  std::copy(end.begin(), end.end(), tag.begin());
  // Of an empty chunk nothing is written here, but the calls want a place.
  std::uint8_t nothing = 0;
  std::uint8_t* to = out.empty() ? &nothing : out.data();
  int done = 0;
  if (!update(nonce, aad, sealed.first(out.size()), to) ||
      EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, kTag, tag.data()) != 1 ||
      EVP_CipherFinal_ex(context_.get(), to, &done) != 1) {
    ERR_clear_error();
    return Error{Error::Code::kDigestMismatch, "the tag is not that of these bytes"};
  }
  return {};
}

}  // namespace skerry::security
