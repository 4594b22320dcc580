#include "guard.hpp"

#include <atomic>
#include <utility>

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include "skerry/common/json.hpp"

namespace skerry::controller {
namespace {

constexpr std::string_view kAuthnMethod = "mtls";

std::string next_correlation() {
  static std::atomic<std::uint64_t> serial{0};
  return "c" + std::to_string(++serial);
}

}  // namespace

Guard::Guard(security::PolicyStore& policy,
             security::AuditLog& audit,
             const Authorities& authorities,
             const Clock& clock,
             std::string trust_domain,
             std::string tenant,
             Log log)
    : policy_(policy),
      audit_(audit),
      authorities_(authorities),
      clock_(clock),
      trust_domain_(std::move(trust_domain)),
      tenant_(std::move(tenant)),
      log_(std::move(log)) {}

Result<void> Guard::verify(const security::Certificate& certificate,
                           const std::string& fingerprint,
                           Authorities::Use use) const {
  const WallTime now = clock_.wall_now();
  const std::uint64_t epoch = authorities_.epoch();
  {
    const std::lock_guard lock{seen_mutex_};
    if (seen_epoch_ == epoch && seen_.contains(fingerprint) && now >= certificate.not_before() &&
        now <= certificate.not_after()) {
      return {};
    }
  }
  auto verified = authorities_.verify(certificate, now, use);
  if (!verified || use != Authorities::Use::kCall) {
    return verified;
  }
  const std::lock_guard lock{seen_mutex_};
  if (seen_epoch_ != epoch || seen_.size() >= kMaxSeen) {
    seen_.clear();
    seen_epoch_ = epoch;
  }
  seen_.insert(fingerprint);
  return {};
}

Result<Caller> Guard::caller(const grpc::ServerContextBase& context,
                             security::SpiffeId::Kind kind,
                             Authorities::Use use) const {
  const std::string wanted{security::to_string(kind)};
  const auto auth = context.auth_context();
  const auto pems = auth ? auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME)
                         : std::vector<grpc::string_ref>{};
  if (pems.empty()) {
    return Error{Error::Code::kUnauthenticated,
                 "this call needs a " + wanted + " certificate of this fleet"};
  }
  const auto certificate =
      security::Certificate::from_pem({pems.front().data(), pems.front().size()});
  if (!certificate) {
    return certificate.error().with_context("the client certificate");
  }
  std::string fingerprint = certificate->fingerprint().hex();
  if (auto verified = verify(*certificate, fingerprint, use); !verified) {
    return verified.error();
  }
  const auto identity = certificate->identity();
  if (!identity) {
    return identity.error().with_context("the client certificate");
  }
  if (identity->trust_domain != trust_domain_ || identity->kind != kind) {
    return Error{Error::Code::kPermissionDenied,
                 "this call needs spiffe://" + trust_domain_ + "/" + wanted +
                     "/…; the certificate is for " + identity->to_string()};
  }
  return Caller{security::Principal::spiffe(identity->to_string(), TenantId{tenant_}),
                identity->name,
                std::move(fingerprint),
                certificate->not_before()};
}

Result<security::Decision> Guard::authorise(const Caller& caller,
                                            security::Verb verb,
                                            std::string_view action,
                                            const security::Resource& resource) {
  auto decision = policy_.current()->decide(caller.principal, verb, resource);
  if (decision.allowed) {
    return decision;
  }
  const auto denied = security::AuditEvent::denied(
      caller.principal, std::string{kAuthnMethod}, std::string{action}, decision);
  if (auto recorded = audit_.append(denied); !recorded) {
    return recorded.error().with_context("recording a denial");
  }
  return decision.check().error();
}

Result<security::AuditEvent> Guard::begin(const Caller& caller,
                                          security::Verb verb,
                                          std::string_view action,
                                          const security::AuditObject& object,
                                          Json details) {
  auto decision = authorise(caller, verb, action);
  if (!decision) {
    return decision.error();
  }
  auto intent = security::AuditEvent::intent(security::AuditClass::kAdministration,
                                             caller.principal,
                                             std::string{action},
                                             next_correlation());
  intent.authn_method = kAuthnMethod;
  intent.object = object;
  intent.details = std::move(details);
  intent.decision = std::move(*decision);
  if (auto recorded = audit_.append(intent); !recorded) {
    return recorded.error().with_context("nothing was done, because the audit log refused it");
  }
  return intent;
}

Result<void> Guard::end(const security::AuditEvent& intent, const Error* error) {
  const auto outcome =
      error == nullptr ? intent.outcome_of(security::AuditOutcome::kSuccess)
                       : intent.outcome_of(security::AuditOutcome::kFailure, error->to_string());
  if (auto recorded = audit_.append(outcome); !recorded) {
    return recorded.error().with_context("the act was done, but its outcome was not recorded");
  }
  return {};
}

void Guard::record(const security::AuditEvent& event) {
  if (auto recorded = audit_.append(event); !recorded) {
    log_.error("audit.append_failed", recorded.error());
  }
}

std::string default_policy(const std::string& trust_domain) {
  const Json everything = Json::Object{{"verbs", Json::Array{"*"}}};
  const Json reading = Json::Object{{"verbs",
                                     Json::Array{"fleet.devices.read",
                                                 "fleet.models.read",
                                                 "fleet.rollout.read",
                                                 "fleet.telemetry.read"}}};
  const Json document = Json::Object{
      {"format", "skerry-policy/1"},
      {"version", 1},
      {"roles",
       Json::Array{Json::Object{{"name", "fleet-admin"}, {"rules", Json::Array{everything}}},
                   Json::Object{{"name", "fleet-reader"}, {"rules", Json::Array{reading}}}}},
      {"bindings",
       Json::Array{Json::Object{
           {"name", "first-operator"},
           {"role", "fleet-admin"},
           {"subjects", Json::Array{"spiffe://" + trust_domain + "/operator/admin"}}}}}};
  return document.dump_pretty() + "\n";
}

}  // namespace skerry::controller
