#include "skerry/agent/access.hpp"

#include <optional>
#include <unistd.h>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

// Who may administer a gateway that was never given a policy.
std::string bootstrap_document(const std::string& admin_group) {
  Json::Array verbs;
  for (const security::Verb verb : security::all_verbs()) {
    verbs.emplace_back(security::to_string(verb));
  }
  Json::Object rule;
  rule.emplace("verbs", Json{std::move(verbs)});
  rule.emplace("models", Json{Json::Array{Json{"*"}}});
  Json::Object role;
  role.emplace("name", Json{"administrator"});
  role.emplace("rules", Json{Json::Array{Json{std::move(rule)}}});
  Json::Array subjects;
  subjects.emplace_back("uid:0");
  if (::geteuid() != 0) {
    subjects.emplace_back("uid:" + std::to_string(::geteuid()));
  }
  if (!admin_group.empty()) {
    subjects.emplace_back("group:" + admin_group);
  }
  Json::Object binding;
  binding.emplace("name", Json{"bootstrap"});
  binding.emplace("role", Json{"administrator"});
  binding.emplace("subjects", Json{std::move(subjects)});
  Json::Object document;
  document.emplace("format", Json{"skerry-policy/1"});
  document.emplace("version", Json{1});
  document.emplace("roles", Json{Json::Array{Json{std::move(role)}}});
  document.emplace("bindings", Json{Json::Array{Json{std::move(binding)}}});
  return Json{std::move(document)}.dump();
}

}  // namespace

Access::Access(Core& core,
               security::PolicyStore& store,
               AuditWriter& audit,
               Metrics& metrics,
               BreakGlass& break_glass,
               const SecurityTargets& signed_targets)
    : core_(core),
      store_(store),
      audit_(audit),
      metrics_(metrics),
      break_glass_(break_glass),
      signed_targets_(signed_targets) {
  if (!core.settings->policy().bootstrap_admins) {
    return;
  }
  bootstrap_document_ = bootstrap_document(core.settings->listen().admin_group);
  Result<security::Policy> policy = security::Policy::parse(bootstrap_document_);
  if (policy) {
    bootstrap_ = std::make_shared<const security::Policy>(*std::move(policy));
  } else {
    core.log.error("policy.bootstrap_invalid", policy.error());
  }
}

std::shared_ptr<const security::Policy> Access::policy() const {
  if (std::shared_ptr<const security::Policy> signed_one = signed_targets_.policy()) {
    return signed_one;
  }
  std::shared_ptr<const security::Policy> stored = store_.current();
  return stored->version() == 0 && bootstrap_ ? bootstrap_ : stored;
}

std::string_view Access::source() const {
  if (const auto signed_one = signed_targets_.policy()) {
    return signed_one->version() > 0 ? "signed" : "lost";
  }
  return store_.current()->version() == 0 ? "built-in" : "local";
}

std::string Access::document() const {
  const std::string_view from = source();
  if (from == "signed" || from == "lost") {
    return signed_targets_.policy_document();
  }
  if (from == "built-in") {
    return bootstrap_document_;
  }
  return read_file(
             core_.fs, core_.settings->state_dir() / "policy.json", security::PolicyLimits::kBytes)
      .value_or(std::string{});
}

Result<void> Access::check_local() const {
  const auto signed_one = signed_targets_.policy();
  if (!signed_one) {
    return {};
  }
  return Error{Error::Code::kFailedPrecondition,
               "the signed policy " + core_.settings->policy().target + " version " +
                   std::to_string(signed_one->version()) +
                   " is in force here; publish a newer one with skerry policy publish, or take "
                   "policy.target out of the configuration"};
}

security::Decision Access::decide(const security::Principal& principal,
                                  security::Verb verb,
                                  const security::Resource& resource) const {
  security::Decision decision = policy()->decide(principal, verb, resource);
  if (std::optional<security::Decision> glass = break_glass_.decide(principal, decision)) {
    return *std::move(glass);
  }
  return decision;
}

Task<Result<security::Decision>> Access::authorise(Caller caller,
                                                   security::Verb verb,
                                                   security::Resource resource,
                                                   std::string action) {
  security::Decision decision = decide(caller.principal, verb, resource);
  if (decision.allowed) {
    if (decision.role != BreakGlass::kRole) {
      co_return decision;
    }
    Result<void> used = co_await break_glass_.use(std::move(caller), std::move(action), decision);
    if (!used) {
      co_return used.error();
    }
    co_return decision;
  }
  metrics_.count_denied();
  core_.log.info("access.denied",
                 {{"principal", caller.principal.to_string()},
                  {"verb", security::to_string(verb)},
                  {"model", resource.model},
                  {"reason", decision.reason}});
  security::AuditEvent event = security::AuditEvent::denied(
      caller.principal, caller.authn_method, std::move(action), decision);
  event.object.model = resource.model;
  event.object.variant = resource.variant;
  Result<void> recorded = co_await audit_.record_durable(std::move(event));
  if (!recorded) {
    core_.log.error("audit.denial_not_recorded", recorded.error());
  }
  Result<void> refused = decision.check();
  co_return refused.error();
}

Task<Result<void>> Access::authorise_read(Caller caller, security::Verb verb, std::string action) {
  security::Resource resource;
  Result<security::Decision> decision = co_await authorise(caller, verb, resource, action);
  if (!decision) {
    co_return decision.error();
  }
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kAdministration;
  event.action = std::move(action);
  event.durability = security::AuditDurability::kGrouped;
  event.actor = std::move(caller.principal);
  event.authn_method = std::move(caller.authn_method);
  event.decision = *std::move(decision);
  audit_.record(std::move(event));
  co_return Result<void>();
}

}  // namespace skerry::agent
