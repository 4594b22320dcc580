#include "skerry/security/model_signing/keys.hpp"

#include <array>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "skerry/common/digest.hpp"

#include "key_access.hpp"

namespace skerry::security::model_signing {

namespace {

constexpr std::size_t kMaxPemText = 256U << 10U;

struct Curve {
  std::string_view group;
  std::string_view name;
  std::size_t compressed_bytes;
  const EVP_MD* (*digest)();
};

constexpr std::array kCurves{Curve{"prime256v1", "ecdsa-p256", 33, EVP_sha256},
                             Curve{"secp384r1", "ecdsa-p384", 49, EVP_sha384},
                             Curve{"secp521r1", "ecdsa-p521", 67, EVP_sha512}};

Result<const Curve*> curve_of(EVP_PKEY* key) {
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
      EVP_PKEY_get_utf8_string_param(
          key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) == 1) {
    for (const Curve& curve : kCurves) {
      if (curve.group == std::string_view{group.data(), size}) {
        return &curve;
      }
    }
  }
  ERR_clear_error();
  return Error{Error::Code::kKeyInvalid,
               "models are signed with elliptic curve keys on P-256, P-384 or P-521; this is "
               "another kind of key"};
}

PkeyPtr compressed_point(std::string_view bytes, const Curve& curve) {
  using ParamBuild = std::unique_ptr<OSSL_PARAM_BLD, OpensslDelete<OSSL_PARAM_BLD_free>>;
  using Params = std::unique_ptr<OSSL_PARAM, OpensslDelete<OSSL_PARAM_free>>;
  const ParamBuild build{OSSL_PARAM_BLD_new()};
  OSSL_PARAM_BLD_push_utf8_string(
      build.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group.data(), curve.group.size());
  OSSL_PARAM_BLD_push_octet_string(
      build.get(), OSSL_PKEY_PARAM_PUB_KEY, bytes.data(), bytes.size());
  const Params params{OSSL_PARAM_BLD_to_param(build.get())};
  const PkeyCtxPtr ctx{EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr)};
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      EVP_PKEY_fromdata(ctx.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  return PkeyPtr{key};
}

// A key without a passphrase only: nobody is asked for one.
int refuse_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
  return -1;
}

}  // namespace

struct VerifyKey::Impl {
  PkeyPtr key;
  const Curve* curve = nullptr;
  std::string pem;

  [[nodiscard]] std::string hint() const { return Digest::of(std::string_view{pem}).hex(); }

  Result<void> verify(const EVP_MD* digest, ByteView message, ByteView signature) const {
    const MdCtxPtr ctx{EVP_MD_CTX_new()};
    if (EVP_DigestVerifyInit(ctx.get(), nullptr, digest, nullptr, key.get()) != 1) {
      return openssl_error(Error::Code::kInternal, "preparing a signature check");
    }
    const int ok = EVP_DigestVerify(
        ctx.get(), signature.data(), signature.size(), message.data(), message.size());
    ERR_clear_error();
    if (ok != 1) {
      return Error{Error::Code::kSignatureInvalid,
                   "the signature is not by key " + hint().substr(0, 16)};
    }
    return {};
  }
};

Result<VerifyKey> KeyAccess::from_native(EVP_PKEY* key) {
  const auto curve = curve_of(key);
  if (!curve) {
    return curve.error();
  }
  const BioPtr bio = write_bio();
  if (PEM_write_bio_PUBKEY(bio.get(), key) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, "encoding a public key");
  }
  auto impl = std::make_shared<VerifyKey::Impl>();
  impl->pem = bio_text(bio.get());
  impl->curve = *curve;
  // A copy made from the public part alone: a private key never rides along.
  const BioPtr copy = read_bio(impl->pem);
  impl->key.reset(PEM_read_bio_PUBKEY(copy.get(), nullptr, nullptr, nullptr));
  if (impl->key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid, "reading a public key back");
  }
  return VerifyKey{std::move(impl)};
}

Result<VerifyKey> VerifyKey::from_bytes(std::string_view bytes) {
  if (bytes.size() > kMaxKeyBytes) {
    return Error{Error::Code::kKeyInvalid, "a public key of more than 16 KiB"};
  }
  PkeyPtr key;
  for (const Curve& curve : kCurves) {
    if (bytes.size() == curve.compressed_bytes) {
      key = compressed_point(bytes, curve);
    }
  }
  if (key == nullptr && bytes.find("-----BEGIN") != std::string_view::npos) {
    const BioPtr bio = read_bio(bytes);
    key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  } else if (key == nullptr) {
    const auto* cursor = reinterpret_cast<const unsigned char*>(bytes.data());
    const unsigned char* end = cursor + bytes.size();
    key.reset(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(bytes.size())));
    if (cursor != end) {
      key.reset();
    }
  }
  ERR_clear_error();
  if (key == nullptr) {
    return Error{Error::Code::kKeyInvalid,
                 "not a public key in PEM, DER or compressed form, or of an algorithm that is not "
                 "supported"};
  }
  return KeyAccess::from_native(key.get());
}

std::string_view VerifyKey::algorithm() const noexcept {
  return impl_->curve->name;
}

std::string VerifyKey::pem() const {
  return impl_->pem;
}

std::string VerifyKey::hint() const {
  return impl_->hint();
}

Result<void> VerifyKey::verify(ByteView message, ByteView signature) const {
  return impl_->verify(impl_->curve->digest(), message, signature);
}

Result<void> KeyAccess::verify_sha256(const VerifyKey& key, ByteView message, ByteView signature) {
  return key.impl_->verify(EVP_sha256(), message, signature);
}

// One of the two.
struct SigningKey::Impl {
  PkeyPtr key;
  const Curve* curve = nullptr;
  std::shared_ptr<const Signer> signer;
};

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
  if (pem.size() > kMaxKeyBytes) {
    return Error{Error::Code::kKeyInvalid, "a private key of more than 16 KiB"};
  }
  const BioPtr bio = read_bio(pem);
  PkeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, &refuse_passphrase, nullptr)};
  if (key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid,
                         "not a private key in PEM form without a passphrase");
  }
  auto public_key = KeyAccess::from_native(key.get());
  if (!public_key) {
    return std::move(public_key).error();
  }
  const auto curve = curve_of(key.get());
  if (!curve) {
    return curve.error();
  }
  auto impl = std::make_shared<const Impl>(Impl{std::move(key), *curve, nullptr});
  return SigningKey{std::move(impl), std::move(*public_key)};
}

Result<SigningKey> SigningKey::from_signer(std::shared_ptr<const Signer> signer) {
  if (signer->public_key().algorithm() != KeyAlgorithm::kEcdsaP256) {
    return Error{Error::Code::kKeyInvalid,
                 "models are signed with elliptic curve keys; this one is " +
                     std::string{security::to_string(signer->public_key().algorithm())}};
  }
  auto public_key = KeyAccess::from_native(static_cast<EVP_PKEY*>(signer->public_key().native()));
  if (!public_key) {
    return std::move(public_key).error();
  }
  auto impl = std::make_shared<const Impl>(Impl{nullptr, nullptr, std::move(signer)});
  return SigningKey{std::move(impl), std::move(*public_key)};
}

Result<Bytes> SigningKey::sign(ByteView message) const {
  if (impl_->signer != nullptr) {
    return impl_->signer->sign(message);
  }
  const MdCtxPtr ctx{EVP_MD_CTX_new()};
  std::size_t size = 0;
  if (EVP_DigestSignInit(ctx.get(), nullptr, impl_->curve->digest(), nullptr, impl_->key.get()) !=
          1 ||
      EVP_DigestSign(ctx.get(), nullptr, &size, message.data(), message.size()) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, "preparing a signature");
  }
  Bytes signature(size);
  if (EVP_DigestSign(ctx.get(), signature.data(), &size, message.data(), message.size()) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, "signing");
  }
  signature.resize(size);
  return signature;
}

Result<std::vector<Bytes>> certificates_from_pem(std::string_view pem) {
  if (pem.size() > kMaxPemText) {
    return Error{Error::Code::kCertificateInvalid, "a PEM text of more than 256 KiB"};
  }
  const BioPtr bio = read_bio(pem);
  std::vector<Bytes> certificates;
  while (const X509Ptr x509{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(x509.get(), &der);
    if (size <= 0) {
      return openssl_error(Error::Code::kCertificateInvalid, "encoding a certificate");
    }
    certificates.emplace_back(der, der + size);
    OPENSSL_free(der);
  }
  // The end of the text looks like a missing start line; anything else is a broken certificate.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end || certificates.empty()) {
    return openssl_error(Error::Code::kCertificateInvalid, "not certificates in PEM form");
  }
  ERR_clear_error();
  return certificates;
}

Result<void> TrustAnchors::add_pem(std::string_view pem) {
  auto certificates = certificates_from_pem(pem);
  if (!certificates) {
    return std::move(certificates).error();
  }
  der_.insert(der_.end(), certificates->begin(), certificates->end());
  return {};
}

}  // namespace skerry::security::model_signing
