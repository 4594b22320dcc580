// PREFLIGHT of an imported model: no source and no TUF, but somebody here must vouch for it.

#include "skerry/agent/installer.hpp"
#include "skerry/registry/import_names.hpp"

namespace skerry::agent {

Result<Preflight> Installer::preflight_local(const activation::Offer& offer,
                                             const std::string& slot,
                                             const std::vector<std::string>& failed) {
  const auto name = registry::parse_target_path(offer.target);
  if (!name) {
    return name.error();
  }
  auto manifest = catalogue_.manifest(name->model, name->version);
  if (!manifest) {
    return manifest.error();
  }
  if (!offer.manifest_digest.empty() && offer.manifest_digest != manifest->digest.to_string()) {
    return Error{Error::Code::kMetadataMismatch,
                 "the offer names manifest " + offer.manifest_digest + ", imported was " +
                     manifest->digest.to_string()};
  }
  if (manifest->repository != registry::kImportRepository || !check_vouched_) {
    return Error{Error::Code::kFailedPrecondition, offer.target + " is no imported model"};
  }
  if (auto vouched = check_vouched_(manifest->digest); !vouched) {
    return vouched.error();
  }
  // A revocation that names these bytes counts here as well.
  return ask_leave(*std::move(manifest), offer, slot, failed);
}

Result<void> Installer::check_held(const registry::VerifiedManifest& manifest,
                                   const std::string& variant) {
  const registry::Variant* chosen = manifest.manifest.find_variant(variant);
  if (chosen == nullptr) {
    return Error{Error::Code::kManifestInvalid, "no variant \"" + variant + "\""};
  }
  for (const registry::ManifestFile& file : manifest.manifest.files_for(*chosen)) {
    const auto held = store_.holds(registry::WantedBlob::from(file));
    if (!held) {
      return held.error();
    }
    if (!*held) {
      return Error{
          Error::Code::kFailedPrecondition,
          file.name + " of an imported model is not in the store any more; import it again"};
    }
  }
  return {};
}

}  // namespace skerry::agent
