#pragma once

// How the chain check makes a `VerifyKey` of a certificate's key. Private to security/.

#include "skerry/security/model_signing/keys.hpp"

#include "../openssl.hpp"

namespace skerry::security::model_signing {

struct KeyAccess {
  // Takes the public part of `key`, which stays the caller's.
  static Result<VerifyKey> from_native(EVP_PKEY* key);
  // As `VerifyKey::verify` with SHA-256 whatever the curve, which version 0.2.0 signed with.
  static Result<void> verify_sha256(const VerifyKey& key, ByteView message, ByteView signature);
};

}  // namespace skerry::security::model_signing
