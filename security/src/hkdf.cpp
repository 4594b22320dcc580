#include "hkdf.hpp"

#include <memory>
#include <string>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "openssl.hpp"

namespace skerry::security {

namespace {

using KdfPtr = std::unique_ptr<EVP_KDF, OpensslDelete<EVP_KDF_free>>;
using KdfCtxPtr = std::unique_ptr<EVP_KDF_CTX, OpensslDelete<EVP_KDF_CTX_free>>;

// OpenSSL's parameters are not const, though what they point to is only read.
OSSL_PARAM octets(const char* name, ByteView bytes) {
  static constexpr std::uint8_t kNothing = 0;
  const std::uint8_t* data = bytes.empty() ? &kNothing : bytes.data();
  return OSSL_PARAM_construct_octet_string(
      name, const_cast<std::uint8_t*>(data), bytes.size());  // NOLINT(*-const-cast)
}

Result<void> run_hkdf(
    int mode, const char* digest, OSSL_PARAM key, OSSL_PARAM other, std::span<std::uint8_t> out) {
  const KdfPtr kdf{EVP_KDF_fetch(nullptr, "HKDF", nullptr)};
  const KdfCtxPtr context{kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr};
  std::string hash = digest;
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash.data(), 0),
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      key,
      other,
      OSSL_PARAM_construct_end()};
  if (context == nullptr || EVP_KDF_derive(context.get(), out.data(), out.size(), params) != 1) {
    return openssl_error(Error::Code::kInternal, "HKDF");
  }
  return {};
}

}  // namespace

Result<void> hkdf_extract(const char* digest,
                          ByteView salt,
                          ByteView input,
                          std::span<std::uint8_t> out) {
  return run_hkdf(EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
                  digest,
                  octets(OSSL_KDF_PARAM_KEY, input),
                  octets(OSSL_KDF_PARAM_SALT, salt),
                  out);
}

Result<void> hkdf_expand(const char* digest,
                         ByteView key,
                         ByteView info,
                         std::span<std::uint8_t> out) {
  return run_hkdf(EVP_KDF_HKDF_MODE_EXPAND_ONLY,
                  digest,
                  octets(OSSL_KDF_PARAM_KEY, key),
                  octets(OSSL_KDF_PARAM_INFO, info),
                  out);
}

}  // namespace skerry::security
