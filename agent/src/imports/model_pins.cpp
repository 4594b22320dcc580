// What an administrator keeps from garbage collection: a signed model, or one variant of it.
// Decided, recorded and named like every other change of the registry.

#include <algorithm>
#include <utility>

#include "skerry/agent/import_administration.hpp"

namespace skerry::agent {
namespace {

using security::Verb;

Result<void> check_pinnable(const CatalogueEntry& entry, const std::string& variant) {
  if (entry.import) {
    return Error{Error::Code::kFailedPrecondition,
                 entry.name() + " " + entry.version() +
                     " was imported: it is kept until `skerry model remove`"};
  }
  if (variant.empty() || entry.manifest.manifest.find_variant(variant) != nullptr) {
    return {};
  }
  std::string known;
  for (const registry::Variant& one : entry.manifest.manifest.variants) {
    known += (known.empty() ? "" : ", ") + one.name;
  }
  return Error{
      Error::Code::kNotFound,
      entry.name() + " " + entry.version() + " has no variant \"" + variant + "\", but " + known};
}

}  // namespace

Task<Result<CatalogueEntry>> ImportAdministration::pin(Caller caller,
                                                       std::string reference,
                                                       std::string variant,
                                                       std::string reason) {
  Act act;
  act.verb = Verb::kAdminRegistryWrite;
  act.action = "model.pin";
  act.reference = std::move(reference);
  act.reason = reason;
  act.details.emplace("variant", Json{variant});
  Work work = [this, variant = std::move(variant), reason = std::move(reason)](
                  const CatalogueEntry& entry, const std::string& who) -> Result<CatalogueEntry> {
    if (auto ok = check_pinnable(entry, variant); !ok) {
      return ok.error();
    }
    const Digest& manifest = entry.manifest.digest;
    const std::string& why = reason.empty() ? who : reason;
    if (auto done = imports_.catalogue().pin(manifest, variant, why); !done) {
      return done.error();
    }
    return imports_.find(manifest.to_string());
  };
  Result<CatalogueEntry> done = co_await change(std::move(caller), std::move(act), std::move(work));
  co_return done;
}

Task<Result<CatalogueEntry>> ImportAdministration::unpin(Caller caller,
                                                         std::string reference,
                                                         std::string variant) {
  Act act;
  act.verb = Verb::kAdminRegistryWrite;
  act.action = "model.unpin";
  act.reference = std::move(reference);
  act.details.emplace("variant", Json{variant});
  Work work = [this, variant = std::move(variant)](
                  const CatalogueEntry& entry,
                  const std::string& /*who*/) -> Result<CatalogueEntry> {
    const bool held = std::any_of(entry.pins.begin(),
                                  entry.pins.end(),
                                  [&](const registry::Pin& pin) { return pin.variant == variant; });
    if (!held) {
      return Error{Error::Code::kNotFound,
                   entry.name() + " " + entry.version() + " is not pinned" +
                       (variant.empty() ? "; a pin of one variant needs --variant"
                                        : " in the variant " + variant)};
    }
    const Digest& manifest = entry.manifest.digest;
    if (auto done = imports_.catalogue().unpin(manifest, variant); !done) {
      return done.error();
    }
    return imports_.find(manifest.to_string());
  };
  Result<CatalogueEntry> done = co_await change(std::move(caller), std::move(act), std::move(work));
  co_return done;
}

}  // namespace skerry::agent
