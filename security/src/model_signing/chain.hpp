#pragma once

// X.509 for OMS: whether a chain ends at a configured anchor, and whether its leaf may sign models.
// Private to security/.

#include "skerry/security/model_signing/keys.hpp"
#include "skerry/security/model_signing/verify.hpp"

namespace skerry::security::model_signing {

struct VerifiedLeaf {
  VerifyKey key;
  SignedBy signer;
};

// `chain` is DER, leaf first. Every certificate up to the anchor must be valid at `now`.
// kCertificateInvalid says which certificate and why.
Result<VerifiedLeaf> verify_chain(const std::vector<Bytes>& chain,
                                  const TrustAnchors& anchors,
                                  WallTime now);

// What a leaf must be in itself: an EC key, valid at `now`, for code signing. Its key on success.
Result<VerifyKey> check_leaf(const Bytes& der, WallTime now);

// Its key, whatever else it is.
Result<VerifyKey> leaf_key(const Bytes& der);

}  // namespace skerry::security::model_signing
