#pragma once

// Signs a model as OMS 1.0 says (section 6), with a key or with a certificate. Used by `skerry
// model sign` and tests/conformance/oms. Synchronous; reads the whole model and writes nothing.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/model_signing/keys.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace skerry::security::model_signing {

struct SignOptions {
  Method method = Method::kFiles;
  HashType hash = HashType::kSha256;
  std::uint64_t shard_size = kDefaultShardSize;
  // Relative to the model; recorded in the statement with the default ones.
  std::vector<std::string> ignore_paths;
  std::function<void(std::uint64_t, std::uint64_t)> progress;
};

// The statement over the model as it is now. kInvalidArgument if no file is left to sign; otherwise
// as `ModelTree::scan`.
Result<Statement> describe_model(const std::filesystem::path& model, const SignOptions& options);

// The text of `model.sig`: the statement signed by `key`, which the bundle names by its hint.
Result<std::string> sign_statement(Statement statement, const SigningKey& key);

// What to do with a certificate that verifiers refuse. `kSign` is for conformance suites, which
// have the signer make what the verifier must refuse.
enum class UnfitLeaf : std::uint8_t { kRefuse, kSign };

// The same with a certificate: `chain` is DER, the leaf first and then its issuers. Refused with
// kCertificateInvalid, as a verifier would: a leaf that is not `key`'s and, unless `unfit` says
// otherwise, one that is not valid at `now` or not for code signing.
Result<std::string> sign_statement(Statement statement,
                                   const SigningKey& key,
                                   const std::vector<Bytes>& chain,
                                   WallTime now,
                                   UnfitLeaf unfit = UnfitLeaf::kRefuse);

}  // namespace skerry::security::model_signing
