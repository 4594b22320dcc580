#include "skerry/security/key.hpp"

#include <array>
#include <optional>
#include <utility>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "key_access.hpp"
#include "openssl.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxKeyText = 16U << 10U;
constexpr std::size_t kMaxSignature = 2048;
constexpr int kMinRsaBits = 2048;
constexpr int kMaxRsaBits = 8192;

struct AlgorithmNames {
  KeyAlgorithm algorithm;
  std::string_view name;
  std::string_view tuf_type;
  std::string_view tuf_scheme;
};

constexpr std::array kAlgorithms{
    AlgorithmNames{KeyAlgorithm::kEd25519, "ed25519", "ed25519", "ed25519"},
    AlgorithmNames{KeyAlgorithm::kEcdsaP256, "ecdsa-p256", "ecdsa", "ecdsa-sha2-nistp256"},
    AlgorithmNames{KeyAlgorithm::kEcdsaP384, "ecdsa-p384", "ecdsa", "ecdsa-sha2-nistp384"},
    AlgorithmNames{KeyAlgorithm::kRsaPss, "rsa-pss", "rsa", "rsassa-pss-sha256"},
    AlgorithmNames{KeyAlgorithm::kRsaPkcs1, "rsa-pkcs1", "rsa", "rsa-pkcs1v15-sha256"},
};

const AlgorithmNames& names_of(KeyAlgorithm algorithm) {
  for (const AlgorithmNames& entry : kAlgorithms) {
    if (entry.algorithm == algorithm) {
      return entry;
    }
  }
  return kAlgorithms.front();
}

Result<KeyAlgorithm> algorithm_of(EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_ED25519:
      return KeyAlgorithm::kEd25519;
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS: {
      const int bits = EVP_PKEY_get_bits(key);
      if (bits < kMinRsaBits || bits > kMaxRsaBits) {
        return Error{Error::Code::kKeyInvalid,
                     "an RSA key of " + std::to_string(bits) + " bits; 2048 to 8192 are accepted"};
      }
      return KeyAlgorithm::kRsaPss;
    }
    case EVP_PKEY_EC:
      break;
    default:
      return Error{Error::Code::kKeyInvalid,
                   "unsupported key type; Ed25519, ECDSA P-256 or P-384 and RSA are accepted"};
  }
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(
          key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, "an EC key without a named curve");
  }
  const std::string_view curve{group.data(), size};
  if (curve == "prime256v1") {
    return KeyAlgorithm::kEcdsaP256;
  }
  if (curve == "secp384r1") {
    return KeyAlgorithm::kEcdsaP384;
  }
  return Error{Error::Code::kKeyInvalid,
               "an EC key on curve " + std::string{curve} + "; P-256 and P-384 are accepted"};
}

bool scheme_fits(KeyAlgorithm algorithm, std::string_view type, std::string_view scheme) {
  const AlgorithmNames& names = names_of(algorithm);
  // Older tools write the scheme's name as the type of ECDSA keys.
  return scheme == names.tuf_scheme && (type == names.tuf_type || type == names.tuf_scheme);
}

}  // namespace

std::string_view to_string(KeyAlgorithm algorithm) noexcept {
  return names_of(algorithm).name;
}

Result<KeyAlgorithm> parse_key_algorithm(std::string_view name) {
  for (const AlgorithmNames& entry : kAlgorithms) {
    if (entry.name == name) {
      return entry.algorithm;
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "unknown key algorithm '" + std::string{name} +
                   "'; ed25519, ecdsa-p256, ecdsa-p384, rsa-pss or rsa-pkcs1"};
}

struct PublicKey::Impl {
  PkeyPtr key;
  KeyAlgorithm algorithm = KeyAlgorithm::kEd25519;
  Bytes der;
  Digest spki;
};

Result<PublicKey> PublicKeyAccess::from_native(EVP_PKEY* key) {
  auto algorithm = algorithm_of(key);
  if (!algorithm) {
    return std::move(algorithm).error();
  }
  auto impl = std::make_shared<PublicKey::Impl>();
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) {
    return openssl_error(Error::Code::kKeyInvalid, "encoding a public key");
  }
  impl->der.assign(der, der + size);
  OPENSSL_free(der);
  // A copy made from the public part alone: a private key never rides along.
  const unsigned char* cursor = impl->der.data();
  impl->key.reset(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(impl->der.size())));
  if (impl->key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid, "reading a public key back");
  }
  impl->algorithm = *algorithm;
  impl->spki = Digest::of(ByteView{impl->der});
  return PublicKey{std::move(impl)};
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem) {
  if (pem.size() > kMaxKeyText) {
    return Error{Error::Code::kKeyInvalid, "a public key PEM of more than 16 KiB"};
  }
  const BioPtr bio = read_bio(pem);
  const PkeyPtr key{PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr)};
  if (key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid, "not a public key in PEM form");
  }
  return PublicKeyAccess::from_native(key.get());
}

Result<PublicKey> PublicKey::from_der(ByteView spki) {
  if (spki.size() > kMaxKeyText) {
    return Error{Error::Code::kKeyInvalid, "a public key of more than 16 KiB"};
  }
  const unsigned char* cursor = spki.data();
  const PkeyPtr key{d2i_PUBKEY(nullptr, &cursor, static_cast<long>(spki.size()))};
  if (key == nullptr || cursor != spki.data() + spki.size()) {
    return openssl_error(Error::Code::kKeyInvalid, "not a public key in DER form");
  }
  return PublicKeyAccess::from_native(key.get());
}

Result<PublicKey> PublicKey::from_ed25519(ByteView raw) {
  const PkeyPtr key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size())};
  if (key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid, "not an Ed25519 public key of 32 bytes");
  }
  return PublicKeyAccess::from_native(key.get());
}

Result<PublicKey> PublicKey::from_tuf_json(const Json& key) {
  auto type = key.get_string("keytype");
  if (!type) {
    return std::move(type).error();
  }
  auto scheme = key.get_string("scheme");
  if (!scheme) {
    return std::move(scheme).error();
  }
  auto value = key.get_object("keyval");
  if (!value) {
    return std::move(value).error();
  }
  auto text = (*value)->get_string("public");
  if (!text) {
    return text.error().with_context("keyval");
  }
  if (*type == "ed25519" && *scheme == "ed25519") {
    auto raw = skerry::from_hex(*text);
    if (!raw) {
      return Error{Error::Code::kKeyInvalid, "keyval.public: " + raw.error().message()};
    }
    return from_ed25519(*raw);
  }
  bool known = false;
  for (const AlgorithmNames& entry : kAlgorithms) {
    known = known || scheme_fits(entry.algorithm, *type, *scheme);
  }
  if (!known) {
    return Error{Error::Code::kUnimplemented,
                 "key type '" + *type + "' with scheme '" + *scheme + "' is not supported"};
  }
  auto parsed = from_pem(*text);
  if (parsed && parsed->algorithm() == KeyAlgorithm::kRsaPss &&
      scheme_fits(KeyAlgorithm::kRsaPkcs1, *type, *scheme)) {
    // The same key, to be used in another way.
    auto impl = std::make_shared<Impl>(
        Impl{PkeyPtr{nullptr}, KeyAlgorithm::kRsaPkcs1, parsed->impl_->der, parsed->impl_->spki});
    EVP_PKEY_up_ref(parsed->impl_->key.get());
    impl->key.reset(parsed->impl_->key.get());
    return PublicKey{std::move(impl)};
  }
  if (parsed && !scheme_fits(parsed->algorithm(), *type, *scheme)) {
    return Error{Error::Code::kKeyInvalid,
                 "the key is " + std::string{to_string(parsed->algorithm())} +
                     ", its scheme says " + *scheme};
  }
  return parsed;
}

Result<PublicKey> PublicKey::from_text(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.starts_with("-----BEGIN")) {
    return from_pem(text);
  }
  if (text.starts_with('{')) {
    auto json = Json::parse(text, JsonLimits{kMaxKeyText, 4});
    if (!json) {
      return std::move(json).error();
    }
    return from_tuf_json(*json);
  }
  auto raw = skerry::from_hex(text);
  if (!raw) {
    return Error{Error::Code::kKeyInvalid,
                 "not a public key: PEM, 64 hexadecimal characters (Ed25519) or a TUF key object "
                 "is accepted"};
  }
  return from_ed25519(*raw);
}

KeyAlgorithm PublicKey::algorithm() const noexcept {
  return impl_->algorithm;
}

std::string PublicKey::pem() const {
  const BioPtr bio = write_bio();
  PEM_write_bio_PUBKEY(bio.get(), impl_->key.get());
  return bio_text(bio.get());
}

Bytes PublicKey::der() const {
  return impl_->der;
}

Bytes PublicKey::raw_ed25519() const {
  if (impl_->algorithm != KeyAlgorithm::kEd25519) {
    return {};
  }
  Bytes raw(32);
  std::size_t size = raw.size();
  if (EVP_PKEY_get_raw_public_key(impl_->key.get(), raw.data(), &size) != 1) {
    return {};
  }
  return raw;
}

Json PublicKey::to_tuf_json() const {
  const AlgorithmNames& names = names_of(impl_->algorithm);
  Json::Object value;
  value.emplace("public",
                impl_->algorithm == KeyAlgorithm::kEd25519 ? to_hex(raw_ed25519()) : pem());
  Json::Object key;
  key.emplace("keytype", names.tuf_type);
  key.emplace("scheme", names.tuf_scheme);
  key.emplace("keyval", std::move(value));
  return Json{std::move(key)};
}

std::string PublicKey::key_id() const {
  const auto canonical = to_tuf_json().canonical();
  return canonical ? Digest::of(std::string_view{*canonical}).hex() : std::string{};
}

Digest PublicKey::spki_digest() const {
  return impl_->spki;
}

Result<void> PublicKey::verify(ByteView message, ByteView signature) const {
  const auto bad = [this] {
    return Error{Error::Code::kSignatureInvalid,
                 "the signature is not by key " + key_id().substr(0, 16)};
  };
  if (signature.empty() || signature.size() > kMaxSignature) {
    return bad();
  }
  const MdCtxPtr ctx{EVP_MD_CTX_new()};
  const EVP_MD* md = nullptr;
  switch (impl_->algorithm) {
    case KeyAlgorithm::kEd25519:
      break;
    case KeyAlgorithm::kEcdsaP384:
      md = EVP_sha384();
      break;
    case KeyAlgorithm::kEcdsaP256:
    case KeyAlgorithm::kRsaPss:
    case KeyAlgorithm::kRsaPkcs1:
      md = EVP_sha256();
      break;
  }
  EVP_PKEY_CTX* pkey_ctx = nullptr;
  if (EVP_DigestVerifyInit(ctx.get(), &pkey_ctx, md, nullptr, impl_->key.get()) != 1) {
    return openssl_error(Error::Code::kInternal, "preparing a signature check");
  }
  if (impl_->algorithm == KeyAlgorithm::kRsaPss &&
      (EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, RSA_PSS_SALTLEN_AUTO) != 1)) {
    return openssl_error(Error::Code::kInternal, "preparing an RSA-PSS check");
  }
  if (impl_->algorithm == KeyAlgorithm::kRsaPkcs1 &&
      EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PADDING) != 1) {
    return openssl_error(Error::Code::kInternal, "preparing an RSA PKCS #1 check");
  }
  const int ok = EVP_DigestVerify(
      ctx.get(), signature.data(), signature.size(), message.data(), message.size());
  ERR_clear_error();
  if (ok != 1) {
    return bad();
  }
  return {};
}

void* PublicKey::native() const noexcept {
  return impl_->key.get();
}

}  // namespace skerry::security
