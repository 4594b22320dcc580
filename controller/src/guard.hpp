#pragma once

// Who calls, may they, and the record of it: the client certificate becomes an identity, RBAC
// decides, the audit log keeps denials and every administrative act with its outcome. Every handler
// goes through it. Thread-safe; durable audit records block for an fsync.

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include <grpcpp/server_context.h>

#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/authorities.hpp"
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
  // When the certificate begins: later ones replace earlier ones.
  WallTime issued{};
};

class Guard {
 public:
  // The referred objects must outlive the guard.
  Guard(security::PolicyStore& policy,
        security::AuditLog& audit,
        const Authorities& authorities,
        const Clock& clock,
        std::string trust_domain,
        std::string tenant,
        Log log);

  // TLS proved that the peer has the key of the certificate it showed; whether that certificate is
  // one of this fleet's, and good for `use`, is decided here (ADR 0076). kUnauthenticated without
  // one or for a foreign one, kCertificateInvalid for one that is good for a renewal only,
  // kPermissionDenied for one of another kind or domain.
  [[nodiscard]] Result<Caller> caller(const grpc::ServerContextBase& context,
                                      security::SpiffeId::Kind kind,
                                      Authorities::Use use = Authorities::Use::kCall) const;

  // Decides, and records a denial before it is answered.
  Result<security::Decision> authorise(const Caller& caller,
                                       security::Verb verb,
                                       std::string_view action,
                                       const security::Resource& resource = {});

  // An allowed administrative act: intent on disk, then `effect`, then its outcome. `effect` does
  // not run if the intent cannot be written. `details` go into both records.
  template <class Effect>
  auto act(const Caller& caller,
           security::Verb verb,
           std::string_view action,
           const security::AuditObject& object,
           Effect effect,
           Json details = {}) -> decltype(effect()) {
    auto intent = begin(caller, verb, action, object, std::move(details));
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
                                     const security::AuditObject& object,
                                     Json details);
  Result<void> end(const security::AuditEvent& intent, const Error* error);

  [[nodiscard]] Result<void> verify(const security::Certificate& certificate,
                                    const std::string& fingerprint,
                                    Authorities::Use use) const;

  security::PolicyStore& policy_;
  security::AuditLog& audit_;
  const Authorities& authorities_;
  const Clock& clock_;
  std::string trust_domain_;
  std::string tenant_;
  Log log_;
  // Certificates whose signature was found good, under the authorities of `seen_epoch_`: devices
  // call often, and a verification costs a tenth of a millisecond.
  static constexpr std::size_t kMaxSeen = 65'536;
  mutable std::mutex seen_mutex_;
  mutable std::uint64_t seen_epoch_ = 0;
  mutable std::set<std::string, std::less<>> seen_;
};

// The policy of a new controller: every operator certificate named "admin" may do everything.
std::string default_policy(const std::string& trust_domain);

}  // namespace skerry::controller
