// Which models the registry has, who vouches for the imported ones now, and why one does not
// answer.

#include <algorithm>

#include "skerry/agent/model_imports.hpp"
#include "skerry/agent/signer_list.hpp"
#include "skerry/registry/import_names.hpp"

namespace skerry::agent {

std::string_view CatalogueEntry::state() const {
  const bool imported = manifest.repository == registry::kImportRepository;
  return imported && import ? import->state() : "signed";
}

Result<registry::VerifiedManifest> ModelImports::only_version(const registry::ModelName& model) {
  constexpr std::size_t kNamed = 8;
  registry::ModelSummary before;
  before.model = model;
  before.release_counter = std::uint64_t{1} << 62U;
  const auto found = catalogue_.list_models(kNamed, before);
  if (!found) {
    return found.error();
  }
  std::string versions;
  std::size_t count = 0;
  for (const registry::ModelSummary& one : *found) {
    if (one.model == model) {
      versions += (count++ == 0 ? "" : ", ") + one.version;
    }
  }
  if (count == 1) {
    return catalogue_.manifest(found->front().digest);
  }
  if (count == 0) {
    return Error{Error::Code::kNotFound,
                 "no model " + model.to_string() + " in the registry; `skerry model list`"};
  }
  return Error{Error::Code::kInvalidArgument,
               model.to_string() + " is here in several versions, say which: " + versions};
}

Result<registry::VerifiedManifest> ModelImports::find_manifest(std::string_view reference) {
  if (const auto digest = Digest::parse(reference); digest) {
    return catalogue_.manifest(*digest);
  }
  const auto named = registry::ModelReference::parse(reference);
  if (!named) {
    return named.error();
  }
  if (named->names_slot()) {
    return Error{Error::Code::kInvalidArgument,
                 "\"" + std::string{reference} +
                     "\": say team/name:version, or the manifest's digest; `skerry model list`"};
  }
  if (named->version.empty()) {
    return only_version(named->model);
  }
  const auto version = registry::SemanticVersion::parse(named->version);
  return version ? catalogue_.manifest(named->model, *version) : version.error();
}

Result<CatalogueEntry> ModelImports::find(std::string_view reference) {
  auto manifest = find_manifest(reference);
  if (!manifest) {
    return manifest.error();
  }
  std::vector<CatalogueEntry> entries(1);
  entries.front().manifest = *std::move(manifest);
  if (auto import = catalogue_.find_import(entries.front().manifest.digest); import) {
    entries.front().import = *std::move(import);
  } else if (import.error().code() != Error::Code::kNotFound) {
    return import.error();
  }
  if (auto added = add_slots(entries); !added) {
    return added.error();
  }
  if (auto added = add_pins(entries); !added) {
    return added.error();
  }
  return std::move(entries.front());
}

Result<std::vector<CatalogueEntry>> ModelImports::list() {
  auto manifests = catalogue_.list_manifests();
  if (!manifests) {
    return manifests.error();
  }
  auto imports = catalogue_.list_imports();
  if (!imports) {
    return imports.error();
  }
  std::vector<CatalogueEntry> entries;
  for (registry::VerifiedManifest& manifest : *manifests) {
    CatalogueEntry entry;
    const auto import = std::find_if(imports->begin(), imports->end(), [&](const auto& one) {
      return one.manifest == manifest.digest;
    });
    if (import != imports->end()) {
      entry.import = *import;
    }
    entry.manifest = std::move(manifest);
    entries.push_back(std::move(entry));
  }
  if (auto added = add_slots(entries); !added) {
    return added.error();
  }
  if (auto added = add_pins(entries); !added) {
    return added.error();
  }
  return entries;
}

Result<void> ModelImports::add_slots(std::vector<CatalogueEntry>& entries) {
  const auto slots = catalogue_.list_slots();
  if (!slots) {
    return slots.error();
  }
  for (const registry::Slot& slot : *slots) {
    for (CatalogueEntry& entry : entries) {
      if (slot.active && slot.active->manifest == entry.manifest.digest) {
        entry.slots.push_back(slot.name.str());
      }
    }
  }
  return {};
}

Result<void> ModelImports::add_pins(std::vector<CatalogueEntry>& entries) {
  const auto pins = catalogue_.list_pins();
  if (!pins) {
    return pins.error();
  }
  for (const registry::Pin& pin : *pins) {
    for (CatalogueEntry& entry : entries) {
      // An import has a pin of its own, which goes with it.
      if (pin.manifest == entry.manifest.digest && !entry.import) {
        entry.pins.push_back(pin);
      }
    }
  }
  return {};
}

Result<void> ModelImports::check_vouched(const CatalogueEntry& entry) {
  if (entry.state() == "signed") {
    return {};
  }
  const Error refused{Error::Code::kFailedPrecondition,
                      entry.name() + " " + entry.version() + " is " + std::string{entry.state()} +
                          ": nobody vouches for it; look at it, then `skerry model vouch " +
                          entry.name() + ":" + entry.version() + "`"};
  if (!entry.import || !entry.import->vouched()) {
    return refused;
  }
  const auto signers = SignerList::load(core_.fs, core_.settings->imports());
  for (const registry::Vouch& vouch : entry.import->vouches) {
    if (vouch.revoked_at) {
      continue;
    }
    const bool role = vouch.kind == registry::VouchKind::kRole;
    if (role || (signers && signers->still_lists(vouch))) {
      return {};
    }
  }
  if (!signers && signers.error().code() == Error::Code::kIo) {
    return signers.error();
  }
  return Error{Error::Code::kFailedPrecondition,
               entry.name() + " " + entry.version() +
                   ": its signer is no longer on the list of signers ([import])"};
}

std::optional<Error> ModelImports::why_absent(const registry::ModelReference& reference) {
  if (reference.names_slot() || reference.model.team != registry::kLocalTeam) {
    return std::nullopt;
  }
  const auto entry = find(reference.model.to_string() +
                          (reference.version.empty() ? std::string{} : ":" + reference.version));
  if (!entry || !entry->import || !entry->slots.empty()) {
    return std::nullopt;
  }
  if (auto vouched = check_vouched(*entry); !vouched) {
    return vouched.error();
  }
  return Error{Error::Code::kFailedPrecondition,
               entry->name() + " " + entry->version() +
                   " was imported and no slot runs it; `skerry model activate " + entry->name() +
                   ":" + entry->version() + " --slot NAME`"};
}

}  // namespace skerry::agent
