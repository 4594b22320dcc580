#include "skerry/agent/import_administration.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/registry/import_names.hpp"

namespace skerry::agent {
namespace {

using security::AuditClass;
using security::AuditOutcome;
using security::Verb;

constexpr std::size_t kMaxReason = 512;
constexpr std::size_t kMaxOrigin = 1024;

security::Resource import_resource(const registry::ModelName& model) {
  security::Resource resource;
  resource.model = model.to_string();
  return resource;
}

security::AuditObject import_object(const registry::VerifiedManifest& manifest) {
  security::AuditObject object;
  object.model = manifest.manifest.model.to_string();
  object.version = manifest.manifest.version.to_string();
  object.manifest_digest = manifest.digest.to_string();
  return object;
}

}  // namespace

Task<Result<ModelImports::Plan>> ImportAdministration::plan(Caller caller, std::string manifest) {
  Result<registry::Manifest> parsed = registry::Manifest::parse(manifest);
  if (!parsed) {
    co_return parsed.error();
  }
  Result<security::Decision> allowed = co_await access_.authorise(std::move(caller),
                                                                  Verb::kAdminModelsImport,
                                                                  import_resource(parsed->model),
                                                                  "model.import_plan");
  if (!allowed) {
    co_return allowed.error();
  }
  auto work = [this, manifest = std::move(manifest), leased = slots_.leased_blobs()] {
    return imports_.plan(manifest, leased);
  };
  Result<ModelImports::Plan> plan = co_await async::offload(core_.disk, std::move(work));
  co_return plan;
}

Task<Result<void>> ImportAdministration::may_upload(Caller caller, std::string model) {
  Result<registry::ModelName> named = registry::ModelName::parse(model);
  if (!named) {
    co_return named.error().with_context("skerry-model");
  }
  Result<security::Decision> decision = co_await access_.authorise(
      std::move(caller), Verb::kAdminModelsImport, import_resource(*named), "model.import_blob");
  co_return decision ? Result<void>() : decision.error();
}

Task<Result<CatalogueEntry>> ImportAdministration::recorded(
    Caller caller,
    security::Decision decision,
    std::string action,
    security::AuditObject object,
    Json details,
    std::function<Result<CatalogueEntry>(const std::string& who)> work) {
  security::AuditEvent intent = security::AuditEvent::intent(
      AuditClass::kModelChange, caller.principal, action, "adm-" + core_.random.hex(8));
  intent.authn_method = caller.authn_method;
  intent.decision = std::move(decision);
  intent.object = std::move(object);
  intent.details = std::move(details);
  Result<void> written = co_await audit_.record_durable(intent);
  if (!written) {
    co_return written.error();
  }
  auto run = [work = std::move(work), who = caller.principal.to_string()] { return work(who); };
  // Hashing and admission of a whole model: not for the threads that commit.
  Result<CatalogueEntry> done = co_await async::offload(core_.transfer(), std::move(run));
  security::AuditEvent outcome =
      done ? intent.outcome_of(AuditOutcome::kSuccess)
           : intent.outcome_of(AuditOutcome::kFailure, done.error().to_string());
  Result<void> closed = co_await audit_.record_durable(std::move(outcome));
  if (!closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  if (done) {
    core_.log.info(action,
                   {{"model", done->name()},
                    {"version", done->version()},
                    {"manifest", done->manifest.digest.to_string()},
                    {"state", done->state()},
                    {"principal", caller.principal.to_string()}});
  }
  co_return done;
}

Task<Result<CatalogueEntry>> ImportAdministration::commit(Caller caller,
                                                          std::string manifest,
                                                          std::string source,
                                                          std::string format) {
  Result<registry::Manifest> parsed = registry::Manifest::parse(manifest);
  if (!parsed) {
    co_return parsed.error();
  }
  Result<security::Decision> decision = co_await access_.authorise(
      caller, Verb::kAdminModelsImport, import_resource(parsed->model), "model.import");
  if (!decision) {
    co_return decision.error();
  }
  security::AuditObject object;
  object.model = parsed->model.to_string();
  object.version = parsed->version.to_string();
  object.manifest_digest = Digest::of(manifest).to_string();
  registry::ImportedModel origin;
  origin.source = source.substr(0, kMaxOrigin);
  origin.format = format.substr(0, kMaxOrigin);
  Json::Object details;
  details.emplace("source", Json{origin.source});
  details.emplace("format", Json{origin.format});
  std::function<Result<CatalogueEntry>(const std::string&)> work =
      [this, manifest = std::move(manifest), origin](const std::string& who) {
        registry::ImportedModel named = origin;
        named.imported_by = who;
        return imports_.commit(manifest, std::move(named));
      };
  Json facts(std::move(details));
  Result<CatalogueEntry> done = co_await recorded(std::move(caller),
                                                  *std::move(decision),
                                                  "model.import",
                                                  std::move(object),
                                                  std::move(facts),
                                                  std::move(work));
  co_return done;
}

Task<Result<std::vector<CatalogueEntry>>> ImportAdministration::list(Caller caller) {
  Result<void> allowed =
      co_await access_.authorise_read(std::move(caller), Verb::kAdminRegistryRead, "model.list");
  if (!allowed) {
    co_return allowed.error();
  }
  auto work = [this] { return imports_.list(); };
  Result<std::vector<CatalogueEntry>> entries =
      co_await async::offload(core_.disk, std::move(work));
  co_return entries;
}

Task<Result<CatalogueEntry>> ImportAdministration::find(Caller caller, std::string reference) {
  Result<void> allowed =
      co_await access_.authorise_read(std::move(caller), Verb::kAdminRegistryRead, "model.read");
  if (!allowed) {
    co_return allowed.error();
  }
  auto work = [this, reference = std::move(reference)] { return imports_.find(reference); };
  Result<CatalogueEntry> entry = co_await async::offload(core_.disk, std::move(work));
  co_return entry;
}

Task<Result<CatalogueEntry>> ImportAdministration::change(Caller caller, Act act, Work work) {
  if (act.reason.size() > kMaxReason) {
    co_return Error(Error::Code::kInvalidArgument, "a reason has at most 512 bytes");
  }
  auto look = [this, reference = act.reference] { return imports_.find(reference); };
  Result<CatalogueEntry> entry = co_await async::offload(core_.disk, std::move(look));
  // Who may not ask does not learn what there is either.
  security::Resource resource;
  Verb verb = act.verb;
  if (entry) {
    resource = import_resource(entry->manifest.manifest.model);
    if (entry->state() == "revoked") {
      verb = act.verb_if_revoked.value_or(verb);
    }
  } else if (Result<registry::ModelReference> named =
                 registry::ModelReference::parse(act.reference);
             named && !named->names_slot()) {
    resource = import_resource(named->model);
  }
  Result<security::Decision> decision =
      co_await access_.authorise(caller, verb, std::move(resource), act.action);
  if (!decision) {
    co_return decision.error();
  }
  if (!entry) {
    co_return entry.error();
  }
  act.details.emplace("reason", Json{act.reason});
  act.details.emplace("state", Json{std::string(entry->state())});
  std::function<Result<CatalogueEntry>(const std::string&)> run =
      [work = std::move(work), found = *entry](const std::string& who) { return work(found, who); };
  security::AuditObject object = import_object(entry->manifest);
  Json facts(std::move(act.details));
  Result<CatalogueEntry> done = co_await recorded(std::move(caller),
                                                  *std::move(decision),
                                                  std::move(act.action),
                                                  std::move(object),
                                                  std::move(facts),
                                                  std::move(run));
  co_return done;
}

Task<Result<CatalogueEntry>> ImportAdministration::vouch(Caller caller,
                                                         std::string reference,
                                                         std::string reason,
                                                         std::string bundle) {
  Act act;
  act.verb = Verb::kAdminModelsVouch;
  act.action = "model.vouch";
  act.reference = std::move(reference);
  act.reason = reason;
  if (!bundle.empty()) {
    act.details.emplace("bundle", Json{Digest::of(bundle).to_string()});
  }
  Work work = [this, reason = std::move(reason), bundle = std::move(bundle)](
                  const CatalogueEntry& entry, const std::string& who) -> Result<CatalogueEntry> {
    if (entry.state() == "signed") {
      return Error{Error::Code::kFailedPrecondition,
                   entry.name() + " " + entry.version() +
                       " is signed by a fleet; only imported models are vouched for"};
    }
    if (!bundle.empty()) {
      return imports_.vouch_by_signature(entry, bundle);
    }
    registry::Vouch vouch;
    vouch.kind = registry::VouchKind::kRole;
    vouch.who = who;
    vouch.reason = reason;
    if (auto done = imports_.catalogue().vouch(entry.manifest.digest, vouch); !done) {
      return done.error();
    }
    return imports_.find(entry.manifest.digest.to_string());
  };
  Result<CatalogueEntry> done = co_await change(std::move(caller), std::move(act), std::move(work));
  co_return done;
}

Task<Result<CatalogueEntry>> ImportAdministration::revoke(Caller caller,
                                                          std::string reference,
                                                          std::string reason) {
  Act act;
  act.verb = Verb::kAdminModelsVouch;
  act.action = "model.revoke_vouch";
  act.reference = std::move(reference);
  act.reason = reason;
  Work work = [this, reason = std::move(reason)](const CatalogueEntry& entry,
                                                 const std::string& who) -> Result<CatalogueEntry> {
    if (auto done = imports_.catalogue().revoke_vouch(entry.manifest.digest, who, reason); !done) {
      return done.error();
    }
    return imports_.find(entry.manifest.digest.to_string());
  };
  Result<CatalogueEntry> done = co_await change(std::move(caller), std::move(act), std::move(work));
  co_return done;
}

Task<Result<CatalogueEntry>> ImportAdministration::remove(Caller caller, std::string reference) {
  Act act;
  act.verb = Verb::kAdminModelsImport;
  // Forgotten and imported again it would be unsigned, not revoked: a listed signer would count.
  act.verb_if_revoked = Verb::kAdminModelsVouch;
  act.action = "model.remove";
  act.reference = std::move(reference);
  Work work = [this](const CatalogueEntry& entry,
                     const std::string& /*who*/) -> Result<CatalogueEntry> {
    if (auto done = imports_.catalogue().remove_import(entry.manifest.digest); !done) {
      return done.error();
    }
    return entry;
  };
  Result<CatalogueEntry> done = co_await change(std::move(caller), std::move(act), std::move(work));
  co_return done;
}

Result<std::uint64_t> ImportAdministration::check_slot(const CatalogueEntry& entry,
                                                       const std::string& slot) {
  if (entry.state() == "signed") {
    return Error{Error::Code::kFailedPrecondition,
                 entry.name() + " is signed; its fleet says where it runs"};
  }
  if (auto vouched = imports_.check_vouched(entry); !vouched) {
    return vouched.error();
  }
  const auto held = imports_.catalogue().slot(SlotName{slot});
  if (!held) {
    return held.error().code() == Error::Code::kNotFound ? Result<std::uint64_t>{0} : held.error();
  }
  if (held->active && held->active->model.team != registry::kLocalTeam) {
    return Error{Error::Code::kFailedPrecondition,
                 "slot " + slot + " runs " + held->active->model.to_string() +
                     ", which a fleet signed; use a slot of its own"};
  }
  std::uint64_t highest = held->active ? held->active->generation : 0;
  if (held->previous) {
    highest = std::max(highest, held->previous->generation);
  }
  return highest;
}

Task<Result<SlotView>> ImportAdministration::activate(Caller caller,
                                                      std::string reference,
                                                      std::string slot) {
  auto highest = std::make_shared<std::uint64_t>(0);
  Act act;
  act.verb = Verb::kAdminSlotsWrite;
  act.action = "model.activate_import";
  act.reference = std::move(reference);
  act.details.emplace("slot", Json{slot});
  Work work = [this, slot, highest](const CatalogueEntry& entry,
                                    const std::string& /*who*/) -> Result<CatalogueEntry> {
    const auto found = check_slot(entry, slot);
    if (!found) {
      return found.error();
    }
    *highest = *found;
    return entry;
  };
  Result<CatalogueEntry> entry =
      co_await change(std::move(caller), std::move(act), std::move(work));
  if (!entry) {
    co_return entry.error();
  }
  activation::Offer offer;
  offer.target = entry->manifest.target_path;
  offer.manifest_digest = entry->manifest.digest.to_string();
  Result<SlotView> view = co_await slots_.offer_local(std::move(slot), std::move(offer), *highest);
  co_return view;
}

}  // namespace skerry::agent
