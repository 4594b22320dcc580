#pragma once

// From a plan of what to import to the manifest that the registry records: every file hashed, every
// model checked, memory estimated. Used by `skerry model import`, which then sends what is missing.

#include <functional>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/import_plan.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::cli {

struct ImportBlob {
  registry::ImportFile file;
  registry::ChunkIndex index;
  Digest digest;
};

struct PreparedImport {
  registry::Manifest manifest;
  std::string bytes;              // of the manifest, canonical
  std::vector<ImportBlob> blobs;  // each content once
};

struct ImportNaming {
  // "local/name", "local/name:version" or "name"; empty: what the plan suggests.
  std::string reference;
};

// Bytes hashed and in all.
using HashProgress = std::function<void(std::uint64_t, std::uint64_t)>;

// Without a version in `naming` it is made of the content, so that importing the same again is the
// same model. kDigestMismatch if a file is not what the source's index says; the admission's
// errors.
Result<PreparedImport> prepare_import(const registry::ImportPlan& plan,
                                      const ImportNaming& naming,
                                      const HashProgress& progress);

}  // namespace skerry::cli
