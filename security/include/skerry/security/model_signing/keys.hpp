#pragma once

// The keys of OMS: elliptic curve P-256, P-384 and P-521 with SHA-256, SHA-384 and SHA-512
// (algorithm registry of OMS 1.0). They are apart from `PublicKey` and `Signer`, whose algorithms
// are those of TUF. Values, cheap to copy, safe to share between threads.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::security::model_signing {

inline constexpr std::size_t kMaxKeyBytes = 16U << 10U;

class VerifyKey {
 public:
  // SubjectPublicKeyInfo as PEM or DER, or a compressed point (33, 49 or 67 bytes). kKeyInvalid for
  // other kinds of key and other curves.
  static Result<VerifyKey> from_bytes(std::string_view bytes);

  // "ecdsa-p256", "ecdsa-p384", "ecdsa-p521".
  [[nodiscard]] std::string_view algorithm() const noexcept;
  [[nodiscard]] std::string pem() const;
  // SHA-256 of `pem()`, lower-case hexadecimal: how bundles name the key.
  [[nodiscard]] std::string hint() const;
  // kSignatureInvalid if `signature` (DER) is not by this key over `message`.
  [[nodiscard]] Result<void> verify(ByteView message, ByteView signature) const;

  friend bool operator==(const VerifyKey& a, const VerifyKey& b) { return a.pem() == b.pem(); }

 private:
  friend struct KeyAccess;
  struct Impl;
  explicit VerifyKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

class SigningKey {
 public:
  // A private key in PEM, PKCS#8 or SEC1, without a passphrase.
  static Result<SigningKey> from_pem(std::string_view pem);
  // A key that stays where it is (TPM, token). kKeyInvalid unless it is ECDSA P-256, the one curve
  // that `Signer` and OMS share.
  static Result<SigningKey> from_signer(std::shared_ptr<const Signer> signer);

  [[nodiscard]] const VerifyKey& public_key() const noexcept { return public_key_; }
  // DER, in the form that `VerifyKey::verify` checks.
  [[nodiscard]] Result<Bytes> sign(ByteView message) const;

 private:
  struct Impl;
  SigningKey(std::shared_ptr<const Impl> impl, VerifyKey public_key)
      : impl_(std::move(impl)), public_key_(std::move(public_key)) {}
  std::shared_ptr<const Impl> impl_;
  VerifyKey public_key_;
};

// The certificates that a chain must end at. There are no others: the system's store is never
// asked.
class TrustAnchors {
 public:
  // Adds every certificate of a PEM text of at most 256 KiB. kCertificateInvalid if it has none.
  Result<void> add_pem(std::string_view pem);
  [[nodiscard]] std::size_t size() const noexcept { return der_.size(); }
  [[nodiscard]] const std::vector<Bytes>& der() const noexcept { return der_; }

 private:
  std::vector<Bytes> der_;
};

// Every certificate of a PEM text as DER, in its order. kCertificateInvalid if there is none or one
// cannot be read.
Result<std::vector<Bytes>> certificates_from_pem(std::string_view pem);

}  // namespace skerry::security::model_signing
