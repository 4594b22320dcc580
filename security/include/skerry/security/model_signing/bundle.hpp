#pragma once

// The file `model.sig`: a Sigstore bundle v0.3 in JSON around a DSSE envelope (OMS 1.0, section 4).
// Parsing checks form only; who signed is decided in verify.hpp, over the exact bytes that were
// signed.

#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security::model_signing {

inline constexpr std::size_t kMaxBundleBytes = 33U << 20U;
inline constexpr std::size_t kMaxCertificates = 16;
inline constexpr std::size_t kMaxCertificateBytes = 64U << 10U;

struct Bundle {
  // Which member of verificationMaterial there is (OMS 4.1). kSigstore is told apart only to say
  // that it is not supported.
  enum class Material { kPublicKey, kCertificateChain, kSigstore };

  Material material = Material::kPublicKey;
  // Not authenticated: the signer's word for its key; empty in bundles before 1.1.0.
  std::string key_hint;
  // DER, leaf first.
  std::vector<Bytes> certificates;
  // The DSSE payload, decoded.
  std::string payload;
  Bytes signature;
};

std::string_view to_string(Bundle::Material material) noexcept;

// kParse names the member that is wrong, kTooLarge the limit.
Result<Bundle> parse_bundle(std::string_view text);

// Always the current form: `hint`, an empty `tlogEntries`, an empty `keyid`.
std::string write_bundle(const Bundle& bundle);

// DSSE pre-authentication encoding of an in-toto payload: what is signed.
std::string pre_authentication_encoding(std::string_view payload);
// What version 0.2.0 of the reference signed instead: Python's `repr` of the payload.
std::string legacy_pre_authentication_encoding(std::string_view payload);

}  // namespace skerry::security::model_signing
