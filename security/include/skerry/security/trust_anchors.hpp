#pragma once

// The certificate authorities that one side of the fleet believes, and what follows from them: is a
// peer's certificate one of theirs, and may a new authority take over
// (docs/formats/certificates.md). A new one is believed only when a believed one signed its key (a
// cross certificate), so whoever has the controller's server key alone cannot introduce an
// authority. A value; safe to share.

#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/certificate.hpp"
#include "skerry/security/trusted_time.hpp"

namespace skerry::security {

class TrustAnchors {
 public:
  // 1 to 16 CA certificates in PEM; kCertificateInvalid for anything else.
  static Result<TrustAnchors> from_pem(std::string_view bundle);

  [[nodiscard]] const std::vector<Certificate>& certificates() const { return anchors_; }
  // In the order given.
  [[nodiscard]] std::string pem() const;
  // SHA-256 of `pem()`: what a device tells the controller that it trusts.
  [[nodiscard]] Digest digest() const { return Digest::of(pem()); }

  // `chain`: the peer's certificate first, then whatever it sent along; at most 16.
  // kCertificateInvalid if no way leads from it to an anchor. With an attested clock every
  // certificate on the way must be in its validity; a clock that nobody vouches for decides nothing
  // (ADR 0021, 0076).
  [[nodiscard]] Result<void> verify(const std::vector<Certificate>& chain,
                                    const TrustedTime& time) const;

  // The anchors of `bundle`, each of which is one of these or is reached from one of these over
  // `cross_certificates` (may be empty). kCertificateInvalid names the one that is not.
  [[nodiscard]] Result<TrustAnchors> succeeded_by(std::string_view bundle,
                                                  std::string_view cross_certificates) const;

 private:
  explicit TrustAnchors(std::vector<Certificate> anchors) : anchors_(std::move(anchors)) {}
  std::vector<Certificate> anchors_;
};

}  // namespace skerry::security
