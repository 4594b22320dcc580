#pragma once

// Public keys: what a signature is checked with. Used by TUF, certificates, audit checkpoints and
// policy. Private keys are behind `Signer` (signer.hpp). A `PublicKey` is a value, cheap to copy
// and safe to share between threads; OpenSSL stays inside.

#include <memory>
#include <string>
#include <string_view>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// Keys are made for the first two; the others are only verified with. The last one (PKCS #1 v1.5)
// is met in TUF metadata of other makers alone: an RSA key read from elsewhere is kRsaPss.
enum class KeyAlgorithm { kEd25519, kEcdsaP256, kEcdsaP384, kRsaPss, kRsaPkcs1 };

// "ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-pss", "rsa-pkcs1".
std::string_view to_string(KeyAlgorithm algorithm) noexcept;
// The inverse; kInvalidArgument lists the accepted names.
Result<KeyAlgorithm> parse_key_algorithm(std::string_view name);

class PublicKey {
 public:
  // A SubjectPublicKeyInfo PEM of at most 16 KiB. kKeyInvalid for other key types, curves, RSA
  // below 2048 or above 8192 bits.
  static Result<PublicKey> from_pem(std::string_view pem);
  static Result<PublicKey> from_der(ByteView spki);
  // The 32 raw bytes of an Ed25519 key.
  static Result<PublicKey> from_ed25519(ByteView raw);
  // A key object of TUF: {"keytype", "scheme", "keyval": {"public"}}. kUnimplemented for a type or
  // scheme that is not known here, kKeyInvalid for a broken one.
  static Result<PublicKey> from_tuf_json(const Json& key);
  // Any of: PEM, 64 hexadecimal characters (Ed25519), a TUF key object.
  static Result<PublicKey> from_text(std::string_view text);

  [[nodiscard]] KeyAlgorithm algorithm() const noexcept;
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] Bytes der() const;
  // The raw 32 bytes; empty unless the key is Ed25519.
  [[nodiscard]] Bytes raw_ed25519() const;
  [[nodiscard]] Json to_tuf_json() const;
  // SHA-256 of the canonical form of `to_tuf_json()`, 64 hexadecimal characters: how TUF names it.
  [[nodiscard]] std::string key_id() const;
  // SHA-256 of `der()`: the pin of a certificate's key, and what tells two keys apart.
  [[nodiscard]] Digest spki_digest() const;

  // kSignatureInvalid if `signature` is not by this key over `message`. ECDSA signatures are DER
  // with SHA-256 (P-256) or SHA-384 (P-384); RSA is PSS with SHA-256 and any salt length, or
  // PKCS #1 v1.5 with SHA-256.
  [[nodiscard]] Result<void> verify(ByteView message, ByteView signature) const;

  // The OpenSSL key (`EVP_PKEY*`), owned by this object; for security/ only.
  [[nodiscard]] void* native() const noexcept;

  friend bool operator==(const PublicKey& a, const PublicKey& b) {
    return a.spki_digest() == b.spki_digest();
  }

 private:
  friend struct PublicKeyAccess;
  struct Impl;
  explicit PublicKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace skerry::security
