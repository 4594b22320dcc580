#pragma once

// The controller's own keys and certificates. At first start it makes the fleet's certificate
// authority, its server certificate, the online TUF keys, the audit key and the first operator's
// bundle (<state>/operator/{operator.crt,operator.key,ca.crt}); later starts load them. The
// server's and the first operator's certificates are renewed when they are due, when names or
// authorities changed: at start, then by `refresh_certificates` while the controller runs.

#include <memory>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/authorities.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/security/certificate.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::controller {

struct ControllerIdentity {
  std::unique_ptr<Authorities> authorities;
  std::shared_ptr<const security::Signer> server_key;
  // PEM file, leaf first, then the cross certificates; replaced atomically.
  std::filesystem::path server_certificate;
  // Secret: for gRPC's credentials only.
  std::string server_key_pem;
  // SHA-256 of the server key's SubjectPublicKeyInfo, hexadecimal: what devices pin to enrol.
  std::string server_spki;
  std::shared_ptr<const security::Signer> online_key;
  std::shared_ptr<const security::Signer> director_key;
  std::shared_ptr<const security::Signer> audit_key;
  bool first_start = false;
};

struct ServerCertificate {
  std::filesystem::path path;
  // SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
  std::string spki;
  // The file was written anew.
  bool changed = false;
};

// Brings the server's chain and the first operator's bundle up to date. Blocks.
Result<ServerCertificate> refresh_certificates(FileSystem& fs,
                                               WallTime now,
                                               const Settings& settings,
                                               const Authorities& authorities,
                                               const security::PublicKey& server_key);

// Blocks. Errors name the file or key.
Result<ControllerIdentity> open_identity(FileSystem& fs,
                                         const Clock& clock,
                                         const Settings& settings);

}  // namespace skerry::controller
