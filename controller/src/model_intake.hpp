#pragma once

// Taking in a model version: the manifest is parsed strictly, its blobs must be here, and it is
// kept ready to be signed. The manifest itself becomes a blob, since devices fetch it by digest.

#include <string>

#include "skerry/controller/blob_vault.hpp"
#include "skerry/controller/store.hpp"

namespace skerry::controller {

// kManifestInvalid with the JSON path, kFailedPrecondition naming a blob that is missing,
// kAlreadyExists for a published version with other bytes, kRollback for a release counter that
// another version of the model already has or passed.
Result<ManifestRecord> stage_manifest(Store& store,
                                      BlobVault& blobs,
                                      const std::string& tenant,
                                      const std::string& manifest,
                                      std::int64_t now_ms);

}  // namespace skerry::controller
