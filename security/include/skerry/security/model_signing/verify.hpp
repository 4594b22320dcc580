#pragma once

// Verifies a model against its OMS signature: first who signed, then what. Used by `skerry model
// verify`, by importers and by tests/conformance/oms. Synchronous; reads the whole model.
//
// A signature says who made the model and that the folder is intact. It does not say that this
// device may run it: that is TUF's answer.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/model_signing/keys.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace skerry::security::model_signing {

// Whose key made the signature, as far as it was verified.
struct SignedBy {
  // "key" or "certificate".
  std::string method;
  // "ecdsa-p256", "ecdsa-p384", "ecdsa-p521".
  std::string algorithm;
  // SHA-256 of the public key's PEM text.
  std::string key_hint;
  // Of the leaf and of the anchor that its chain ended at; empty in key mode.
  std::string subject;
  std::string certificate_sha256;
  std::string anchor;
  std::string anchor_sha256;

  [[nodiscard]] Json to_json() const;
};

struct AuthenticStatement {
  Statement statement;
  SignedBy signer;
};

// The statement of a bundle that `key` signed (OMS 8.1 to 8.3). kParse or kTooLarge for a malformed
// bundle, kFailedPrecondition for one of another method, kSignatureInvalid.
Result<AuthenticStatement> authenticate(std::string_view bundle,
                                        const VerifyKey& key,
                                        Legacy legacy = Legacy::kRefuse);
// The same for a bundle with a certificate chain. kCertificateInvalid unless the chain ends at one
// of `anchors`, every certificate is valid at `now`, and the leaf is for code signing.
Result<AuthenticStatement> authenticate(std::string_view bundle,
                                        const TrustAnchors& anchors,
                                        WallTime now,
                                        Legacy legacy = Legacy::kRefuse);

struct CheckOptions {
  // Left out besides what the statement leaves out; relative to the model.
  std::vector<std::string> ignore_paths;
  // Files that are not in the statement are reported instead of refused (OMS 8.5).
  bool ignore_unsigned_files = false;
  // Called with bytes done and in all.
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

struct CheckedModel {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  // What is in the model's folder and no signature covers: left out on purpose, and (only with
  // `ignore_unsigned_files`) in excess.
  std::vector<std::string> ignored;
  std::vector<std::string> unsigned_files;
};

// Compares the model with the statement (OMS 8.4); a closed world. kDigestMismatch and
// kSizeMismatch name a file that differs, kSignatureInvalid one that is missing or in excess,
// kFailedPrecondition a symbolic link or special file.
Result<CheckedModel> check_model(const std::filesystem::path& model,
                                 const Statement& statement,
                                 const CheckOptions& options);

}  // namespace skerry::security::model_signing
