#pragma once

// How the other files of security/ make a `PublicKey` of an OpenSSL key.

#include "skerry/security/key.hpp"

#include "openssl.hpp"

namespace skerry::security {

struct PublicKeyAccess {
  // Takes the public part of `key`, which stays the caller's.
  static Result<PublicKey> from_native(EVP_PKEY* key);
};

}  // namespace skerry::security
