#pragma once

// X.509 for the fleet: the controller's own certificate authority, requests made by devices,
// certificates for devices, operators and servers, and the identity read from a peer's certificate.
// Time is passed in; nothing here reads a clock. Values are immutable and safe to share.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/key.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::security {

// "spiffe://<trust domain>/<kind>/<name>": who a certificate speaks for.
struct SpiffeId {
  enum class Kind { kDevice, kOperator, kController };
  std::string trust_domain;
  Kind kind = Kind::kDevice;
  std::string name;

  // kCertificateInvalid unless the text has exactly that form, lower-case domain, at most 255
  // characters.
  static Result<SpiffeId> parse(std::string_view uri);
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const SpiffeId&, const SpiffeId&) = default;
};

std::string_view to_string(SpiffeId::Kind kind) noexcept;

struct CertificateNames {
  std::string common_name;
  // Empty, or a spiffe:// URI.
  std::string spiffe_id;
  std::vector<std::string> dns_names;
  // IPv4 or IPv6 in text form.
  std::vector<std::string> ip_addresses;
};

class Certificate {
 public:
  // The first certificate of a PEM text of at most 64 KiB.
  static Result<Certificate> from_pem(std::string_view pem);
  static Result<Certificate> from_der(ByteView der);

  [[nodiscard]] std::string pem() const;
  [[nodiscard]] Bytes der() const;
  [[nodiscard]] const PublicKey& public_key() const;
  // SHA-256 of the DER form.
  [[nodiscard]] Digest fingerprint() const;
  [[nodiscard]] Digest spki_digest() const { return public_key().spki_digest(); }
  [[nodiscard]] std::string serial_hex() const;
  [[nodiscard]] std::string common_name() const;
  [[nodiscard]] WallTime not_before() const;
  [[nodiscard]] WallTime not_after() const;
  [[nodiscard]] bool is_ca() const;
  [[nodiscard]] std::vector<std::string> dns_names() const;
  [[nodiscard]] std::vector<std::string> ip_addresses() const;
  // The one spiffe URI; kCertificateInvalid if there is none or more than one URI (SVID rule).
  [[nodiscard]] Result<SpiffeId> identity() const;
  // Time to renew: half of the lifetime has passed.
  [[nodiscard]] bool renewal_due(WallTime now) const;

  // kCertificateInvalid if `ca` did not sign it, `ca` is no CA, or `now` is outside the validity of
  // either (the message says which and by how much).
  [[nodiscard]] Result<void> verify(const Certificate& ca, WallTime now) const;
  // The same without time, for a clock that nobody vouches for.
  [[nodiscard]] Result<void> verify_signature(const Certificate& ca) const;

 private:
  friend struct X509Access;
  struct Impl;
  explicit Certificate(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// Every certificate of a PEM text of at most 64 KiB, in its order; kCertificateInvalid for none,
// more than 16, or one that is broken.
Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem);

class CertificateRequest {
 public:
  // Parses a PKCS#10 PEM of at most 64 KiB and checks its self-signature (proof of the key).
  static Result<CertificateRequest> from_pem(std::string_view pem);
  static Result<CertificateRequest> from_der(ByteView der);

  [[nodiscard]] const PublicKey& public_key() const;
  // What the request asks for; the issuer decides what it grants.
  [[nodiscard]] const CertificateNames& names() const;

 private:
  friend struct RequestAccess;
  struct Impl;
  explicit CertificateRequest(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// A PKCS#10 request in PEM, signed by `key`. kUnimplemented for a key without an OpenSSL form.
Result<std::string> make_certificate_request(const Signer& key, const CertificateNames& names);
// The same in DER, as it travels.
Result<Bytes> make_certificate_request_der(const Signer& key, const CertificateNames& names);

struct CertificateGrant {
  CertificateNames names;
  // Devices and operators are clients; the controller is a server.
  bool server = false;
  bool client = true;
  WallTime not_before{};
  // From `not_before`. The certificate begins a little earlier (5 minutes, but at most a tenth of
  // its life), for a peer whose clock is behind the issuer's.
  std::chrono::seconds lifetime{std::chrono::hours{400 * 24}};
};

class CertificateAuthority {
 public:
  // Makes a self-signed CA certificate valid from `now`. Its path length is 1: below it may stand
  // the cross certificate of the authority that follows it.
  static Result<CertificateAuthority> create(std::shared_ptr<const Signer> key,
                                             std::string_view common_name,
                                             WallTime now,
                                             std::chrono::hours lifetime);
  // kCertificateInvalid if `certificate` is not that key's.
  static Result<CertificateAuthority> load(std::shared_ptr<const Signer> key,
                                           std::string_view certificate_pem);

  [[nodiscard]] const Certificate& certificate() const { return certificate_; }
  // Signs a certificate for `subject` (a CSR's key, or one's own). The serial is random; the end is
  // cut to the CA's own. kInvalidArgument for a bad name.
  [[nodiscard]] Result<Certificate> issue(const PublicKey& subject,
                                          const CertificateGrant& grant) const;
  // Says of another authority (its self-signed certificate) that it may follow this one: its name
  // and key, signed by this key, until the earlier of the two ends.
  [[nodiscard]] Result<Certificate> cross_sign(const Certificate& successor, WallTime now) const;
  // A signature by the authority's key over `statement`, in the form of `PublicKey::verify`.
  [[nodiscard]] Result<Bytes> sign(ByteView statement) const { return key_->sign(statement); }

 private:
  CertificateAuthority(std::shared_ptr<const Signer> key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}
  std::shared_ptr<const Signer> key_;
  Certificate certificate_;
};

}  // namespace skerry::security
