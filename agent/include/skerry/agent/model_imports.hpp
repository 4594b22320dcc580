#pragma once

// Models that no fleet signed, on this gateway: what of them is missing, their admission, the
// signature that came with them. Blocking and without policy: `ImportAdministration` decides,
// records and calls it on a disk or transfer thread. Thread-safe.

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/installer.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/model_reference.hpp"

namespace skerry::agent {

// One model of the registry as `skerry model list` shows it.
struct CatalogueEntry {
  registry::VerifiedManifest manifest;
  std::optional<registry::ImportedModel> import;
  std::vector<std::string> slots;
  // That people set.
  std::vector<registry::Pin> pins;
  // What became of the signature that came with it, for people; set by `commit` alone.
  std::string signature;

  [[nodiscard]] std::string name() const { return manifest.manifest.model.to_string(); }
  [[nodiscard]] std::string version() const { return manifest.manifest.version.to_string(); }
  // "signed", "vouched", "unsigned", "revoked".
  [[nodiscard]] std::string_view state() const;
};

class ModelImports {
 public:
  ModelImports(Core& core,
               registry::Catalogue& catalogue,
               registry::BlobStore& store,
               Installer& installer)
      : core_(core), catalogue_(catalogue), store_(store), installer_(installer) {}

  struct Plan {
    registry::VerifiedManifest manifest;
    std::vector<registry::WantedBlob> missing;
    bool known = false;
  };
  // Checks the manifest's form and that it is one that may be imported: team "local", GGUF or ONNX,
  // nothing in a variant but weights. Makes room for it below the high water mark, but for what
  // workers lease. kManifestInvalid, kQuotaExceeded, kNoSpace.
  Result<Plan> plan(std::string_view manifest, const std::set<Digest>& leased);

  // Null if the store holds it already. The index must be that of `size` and `chunk_size`.
  Result<std::unique_ptr<registry::BlobIngest>> begin_blob(const registry::WantedBlob& blob,
                                                           ByteView index);

  // Hashes every file as a whole, admits every variant, verifies a signature that is there, and
  // records. kFailedPrecondition if a blob is missing, kModelFormat, kSignatureInvalid (a signature
  // by somebody on the allow list over something else).
  Result<CatalogueEntry> commit(std::string_view manifest, registry::ImportedModel origin);

  // By "team/name:version", the manifest's digest, or "team/name" if there is one version;
  // kNotFound.
  Result<CatalogueEntry> find(std::string_view reference);
  Result<std::vector<CatalogueEntry>> list();

  // The vouch of an OMS signature over an imported model, and records it. kPermissionDenied if it
  // is by nobody on the allow list; kSignatureInvalid if it is over something else.
  Result<CatalogueEntry> vouch_by_signature(const CatalogueEntry& entry, std::string_view bundle);

  // kFailedPrecondition unless a role, or a signer who is still on the allow list, vouches.
  Result<void> check_vouched(const CatalogueEntry& entry);

  // Why an imported model of that name does not answer, and what to do; none if there is none.
  std::optional<Error> why_absent(const registry::ModelReference& reference);

  [[nodiscard]] registry::Catalogue& catalogue() { return catalogue_; }
  [[nodiscard]] registry::BlobStore& store() { return store_; }

 private:
  Result<void> add_slots(std::vector<CatalogueEntry>& entries);
  Result<void> add_pins(std::vector<CatalogueEntry>& entries);
  Result<registry::VerifiedManifest> find_manifest(std::string_view reference);
  Result<registry::VerifiedManifest> only_version(const registry::ModelName& model);
  // Of a bundle over that manifest's files; none if nobody on the allow list signed.
  Result<std::optional<registry::Vouch>> vouch_of(std::string_view bundle,
                                                  const registry::Manifest& manifest);
  Result<std::optional<registry::Vouch>> verify_signature(const registry::Manifest& manifest,
                                                          std::string& said);
  // Lets the signature that came with an import vouch, unless somebody here ended that.
  Result<void> take_vouch(const Digest& manifest, const registry::Vouch& vouch, std::string& said);

  Core& core_;
  registry::Catalogue& catalogue_;
  registry::BlobStore& store_;
  Installer& installer_;
};

}  // namespace skerry::agent
