#pragma once

// Enrolment: single-use tokens that operators make, and the certificate that a device gets for one
// (EST semantics: the device makes its own key and sends a PKCS#10 request). The device's id is the
// hash of its key, so the same key enrolling again is the same device. Used by the enrolment and
// fleet services, which audit what happens here. Thread-safe; calls block on the store.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/common/clock.hpp"
#include "skerry/common/random.hpp"
#include "skerry/common/result.hpp"
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
};

class Enrolment {
 public:
  // The referred objects must outlive this one.
  Enrolment(Store& store,
            const security::CertificateAuthority& authority,
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

  // The id of the device that holds this key.
  static std::string device_id_of(const security::PublicKey& key);

 private:
  Result<TokenRecord> check_token(std::string_view token);

  Store& store_;
  const security::CertificateAuthority& authority_;
  const Clock& clock_;
  Random& random_;
  IdentityConfig identity_;
  EnrolmentConfig config_;
};

}  // namespace skerry::controller
