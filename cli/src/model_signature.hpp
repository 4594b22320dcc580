#pragma once

// What `skerry model sign`, `verify` and `vouch` share: where a signature lies, what is left out of
// it, and with what it is made.

#include <cstddef>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/model_signing/keys.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace skerry::cli {

struct Invocation;

inline constexpr std::size_t kMaxSignatureKeyFile = 256U << 10U;

// "<model>/model.sig" for a folder, "<model>.sig" beside a file.
std::string default_signature(const std::string& model);

// `paths` relative to the model, and the signature itself where it lies in it. kInvalidArgument for
// a path outside the model.
Result<std::vector<std::string>> ignored_in_model(const std::string& model,
                                                  const std::vector<std::string>& paths,
                                                  const std::string& signature);

// With what somebody signs: a private key (path or URI), and the certificate for it, if any.
struct SigningIdentity {
  std::string key;
  std::string certificate;
  std::vector<std::string> chain;
};

// kKeyInvalid, kNotFound … with the text that was given.
Result<security::model_signing::SigningKey> signing_key(FileSystem& fs, const std::string& text);

// The text of a `model.sig`, in key mode or with the identity's certificates.
Result<std::string> sign_statement_as(Invocation& invocation,
                                      const SigningIdentity& signer,
                                      security::model_signing::Statement statement,
                                      const security::model_signing::SigningKey& key);

}  // namespace skerry::cli
