#pragma once

// The OMS signers whose word is enough to run an imported model on this gateway ([import] in the
// configuration), and what their signature must cover: every file of the model, no other. Blocking;
// used by ModelImports.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/config.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/imported_model.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/security/model_signing/verify.hpp"

namespace skerry::agent {

class SignerList {
 public:
  // Reads the keys and anchors that the configuration names. kConfigInvalid names the file.
  static Result<SignerList> load(FileSystem& fs, const ImportConfig& config);

  [[nodiscard]] bool empty() const { return keys_.empty() && anchors_.size() == 0; }
  // The statement, if somebody on the list signed it; none otherwise. An error is one of form.
  Result<std::optional<security::model_signing::AuthenticStatement>> authenticate(
      std::string_view bundle, WallTime now) const;
  // How a vouch calls a signer, and what it is known again by: a key's hint, an anchor's SHA-256.
  static std::string name_of(const security::model_signing::SignedBy& signer);
  static std::string identity_of(const security::model_signing::SignedBy& signer);
  // Whether a vouch that a signer gave still counts.
  [[nodiscard]] bool still_lists(const registry::Vouch& vouch) const;

 private:
  [[nodiscard]] bool lists_subject(const std::string& subject) const;

  std::vector<security::model_signing::VerifyKey> keys_;
  security::model_signing::TrustAnchors anchors_;
  std::vector<std::string> subjects_;
};

// Compares what was signed with the files of an import, both ways (OMS 8.4): every resource is a
// file of the manifest with these bytes, every file but the signature is a resource, and the files
// of one variant were beside one another. kSignatureInvalid, kDigestMismatch, kUnimplemented for a
// hash other than SHA-256. Reads blobs only for a statement over shards.
Result<void> check_signed_files(const security::model_signing::Statement& statement,
                                const registry::Manifest& manifest,
                                registry::BlobStore& store);

}  // namespace skerry::agent
