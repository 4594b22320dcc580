#pragma once

// Enrolment and renewal: single-use tokens that operators make, the certificate that a device gets
// for one (EST semantics: the device makes its own key and sends a PKCS#10 request), and the next
// one. The device's id is the hash of its first key and stays when the key is renewed; the same key
// enrolling again is the same device. Used by the enrolment, device and fleet services, which audit
// what happens here. Thread-safe; calls block on the store.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/common/clock.hpp"
#include "skerry/common/random.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/authorities.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/security/certificate.hpp"

namespace skerry::controller {

struct IssuedToken {
  // "skt_<id>_<secret>": shown once, stored as a hash.
  std::string token;
  std::int64_t expires_ms = 0;
};

struct TokenRequest {
  std::string tenant_id;
  std::string site_id;
  std::string note;
  std::string created_by;
  // Zero: the configured default.
  std::chrono::seconds ttl{0};
};

struct EnrolledDevice {
  std::string device_id;
  std::string tenant_id;
  std::string site_id;
  // Leaf first.
  std::string certificate_chain_pem;
  std::string trust_bundle_pem;
  // How the bundle's authorities follow from older ones; empty after an enrolment.
  std::string cross_pem;
};

class Enrolment {
 public:
  // The referred objects must outlive this one.
  Enrolment(Store& store,
            const Authorities& authorities,
            const Clock& clock,
            Random& random,
            IdentityConfig identity,
            EnrolmentConfig config);

  // kInvalidArgument for a lifetime beyond the configured maximum or a bad site name.
  Result<IssuedToken> create_token(const TokenRequest& request);

  // `info` is the bytes of a DeviceInfo, kept as they are. kEnrolmentRefused for a token that is
  // unknown, wrong, expired or used (the message says which only to someone who knows the secret),
  // kCertificateInvalid for a request that does not prove its key.
  Result<EnrolledDevice> enroll(std::string_view token,
                                std::string_view csr_der,
                                const std::string& info);

  // The next certificate of a device that proved (by TLS) that it has the key of the one that
  // begins at `issued`. kNotEnrolled; kPermissionDenied for a revoked device, or when a newer
  // certificate of it was already seen in use; kCertificateInvalid for a request that does not
  // prove its key.
  Result<EnrolledDevice> renew(const std::string& device_id,
                               WallTime issued,
                               std::string_view csr_der);

  // The id of a device whose first key this is.
  static std::string device_id_of(const security::PublicKey& key);

 private:
  Result<TokenRecord> check_token(std::string_view token);
  // The device that has this key now, or would be made for it.
  Result<std::string> id_for(const security::PublicKey& key);
  Result<security::Certificate> certify(const std::string& device_id,
                                        const security::PublicKey& key,
                                        WallTime now) const;

  Store& store_;
  const Authorities& authorities_;
  const Clock& clock_;
  Random& random_;
  IdentityConfig identity_;
  EnrolmentConfig config_;
};

}  // namespace skerry::controller
