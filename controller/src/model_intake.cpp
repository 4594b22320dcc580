#include "model_intake.hpp"

#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::controller {
namespace {

// Devices refuse a version whose counter does not grow; better to say so before it is signed.
Result<void> check_counter(Store& store,
                           const std::string& tenant,
                           const registry::Manifest& manifest) {
  const auto others = store.manifests(tenant);
  if (!others) {
    return others.error();
  }
  const std::string prefix = "models/" + manifest.model.to_string() + "/";
  for (const auto& other : *others) {
    if (other.published && other.target.starts_with(prefix) &&
        other.target != manifest.target_path() &&
        other.release_counter >= static_cast<std::int64_t>(manifest.release_counter)) {
      return Error{Error::Code::kRollback,
                   "release_counter " + std::to_string(manifest.release_counter) +
                       " does not pass that of " + other.target + " (" +
                       std::to_string(other.release_counter) + ")"};
    }
  }
  return {};
}

}  // namespace

Result<ManifestRecord> stage_manifest(Store& store,
                                      BlobVault& blobs,
                                      const std::string& tenant,
                                      const std::string& content,
                                      std::int64_t now_ms) {
  const auto manifest = registry::Manifest::parse(content);
  if (!manifest) {
    return manifest.error();
  }
  ManifestRecord record;
  for (const auto& file : manifest->all_files()) {
    record.size_bytes += static_cast<std::int64_t>(file.size);
    const bool has_index = registry::chunk_count(file.size, file.chunk_size) > 1;
    for (const auto& [digest, what] :
         {std::pair{&file.digest, "the blob "}, std::pair{&file.chunks, "the chunk index "}}) {
      if ((digest == &file.digest || has_index) && !blobs.has(*digest)) {
        return Error{Error::Code::kFailedPrecondition,
                     std::string{what} + digest->to_string() + " of " + file.name +
                         " is not here: push it first"};
      }
    }
  }
  if (auto counted = check_counter(store, tenant, *manifest); !counted) {
    return counted.error();
  }
  const auto digest = blobs.put(content);
  if (!digest) {
    return digest.error();
  }
  record.target = manifest->target_path();
  record.tenant_id = tenant;
  record.digest = digest->to_string();
  record.length = static_cast<std::int64_t>(content.size());
  record.release_counter = static_cast<std::int64_t>(manifest->release_counter);
  record.content = content;
  for (const auto& variant : manifest->variants) {
    record.variants += (record.variants.empty() ? "" : ",") + variant.name;
  }
  record.at_ms = now_ms;
  if (auto staged = store.stage_manifest(record); !staged) {
    return staged.error();
  }
  return record;
}

}  // namespace skerry::controller
