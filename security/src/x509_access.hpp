#pragma once

// How the certificate authority reaches the OpenSSL certificate. Private to security/.

#include "skerry/security/certificate.hpp"

#include "openssl.hpp"

namespace skerry::security {

struct X509Access {
  static Result<Certificate> from_native(X509Ptr x509);
  static X509* native(const Certificate& certificate);
};

}  // namespace skerry::security
