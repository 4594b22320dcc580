#pragma once

// Who calls, may they, and the record of it: the client certificate becomes an identity, RBAC
// decides, the audit log keeps denials and every administrative act with its outcome. Every handler
// goes through it. Thread-safe; durable audit records block for an fsync.

#include <functional>
#include <string>
#include <string_view>

#include <grpcpp/server_context.h>

#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/audit_log.hpp"
#include "skerry/security/certificate.hpp"
#include "skerry/security/policy_store.hpp"

namespace skerry::controller {

struct Caller {
  security::Principal principal;
  // The name in the certificate: a device id, an operator's name.
  std::string name;
  // SHA-256 of the certificate, hexadecimal.
  std::string certificate;
};

class Guard {
 public:
  Guard(security::PolicyStore& policy,
        security::AuditLog& audit,
        std::string trust_domain,
        std::string tenant,
        Log log);

  // The peer's certificate was already verified against the fleet CA by TLS. kUnauthenticated
  // without one, kPermissionDenied for one of another kind or domain.
  [[nodiscard]] Result<Caller> caller(const grpc::ServerContextBase& context,
                                      security::SpiffeId::Kind kind) const;

  // Decides, and records a denial before it is answered.
  Result<security::Decision> authorise(const Caller& caller,
                                       security::Verb verb,
                                       std::string_view action,
                                       const security::Resource& resource = {});

  // An allowed administrative act: intent on disk, then `effect`, then its outcome. `effect` does
  // not run if the intent cannot be written.
  template <class Effect>
  auto act(const Caller& caller,
           security::Verb verb,
           std::string_view action,
           const security::AuditObject& object,
           Effect effect) -> decltype(effect()) {
    auto intent = begin(caller, verb, action, object);
    if (!intent) {
      return intent.error();
    }
    auto result = effect();
    if (auto recorded = end(*intent, result ? nullptr : &result.error()); !recorded) {
      return recorded.error();
    }
    return result;
  }

  // A record of something that the controller itself did or saw; failures are logged.
  void record(const security::AuditEvent& event);

  [[nodiscard]] security::AuditLog& audit() { return audit_; }
  [[nodiscard]] security::PolicyStore& policy() { return policy_; }
  [[nodiscard]] const std::string& tenant() const { return tenant_; }

 private:
  Result<security::AuditEvent> begin(const Caller& caller,
                                     security::Verb verb,
                                     std::string_view action,
                                     const security::AuditObject& object);
  Result<void> end(const security::AuditEvent& intent, const Error* error);

  security::PolicyStore& policy_;
  security::AuditLog& audit_;
  std::string trust_domain_;
  std::string tenant_;
  Log log_;
};

// The policy of a new controller: every operator certificate named "admin" may do everything.
std::string default_policy(const std::string& trust_domain);

}  // namespace skerry::controller
