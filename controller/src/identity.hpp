#pragma once

// The controller's own keys and certificates. At first start it makes the fleet's certificate
// authority, its server certificate, the online TUF keys, the audit key and the first operator's
// bundle (<state>/operator/{operator.crt,operator.key,ca.crt}); later starts load them and renew
// the server certificate when it is due or its names changed.

#include <memory>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/security/certificate.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::controller {

struct ControllerIdentity {
  std::unique_ptr<security::CertificateAuthority> authority;
  std::string server_certificate_pem;
  // Secret: for gRPC's credentials only.
  std::string server_key_pem;
  // SHA-256 of the server key's SubjectPublicKeyInfo, hexadecimal: what devices pin to enrol.
  std::string server_spki;
  std::shared_ptr<const security::Signer> online_key;
  std::shared_ptr<const security::Signer> director_key;
  std::shared_ptr<const security::Signer> audit_key;
  bool first_start = false;
};

// Blocks. Errors name the file or key.
Result<ControllerIdentity> open_identity(FileSystem& fs,
                                         const Clock& clock,
                                         const Settings& settings);

}  // namespace skerry::controller
