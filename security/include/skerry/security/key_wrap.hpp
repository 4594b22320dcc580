#pragma once

// A short secret (a data key) under a key that a key URI names: HPKE (RFC 9180), base mode,
// DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, single shot. Wrapping needs the public key
// alone; unwrapping is one Diffie-Hellman by the private key, which a TPM does without giving it
// away. The registry's data key is kept so.

#include <string_view>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/key.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::security {

// What wrapping adds: the encapsulated key (a P-256 point) and the tag.
inline constexpr std::size_t kWrapOverhead = 65 + 16;

// `info` says what the secret is for; unwrapping needs the same. kKeyInvalid unless the key is
// ecdsa-p256.
Result<Bytes> wrap_secret(const PublicKey& to, ByteView secret, std::string_view info);

// kKeyInvalid if it was wrapped to another key, for something else, or changed; kUnimplemented for
// a key that can only sign. Blocks while hardware works. Treat the result as a secret.
Result<Bytes> unwrap_secret(const Signer& key, ByteView wrapped, std::string_view info);

// For tests of the specification's vectors, which name the associated data.
Result<Bytes> hpke_open(
    const Signer& key, ByteView enc, ByteView info, ByteView aad, ByteView sealed);

}  // namespace skerry::security
