#pragma once

// Authenticate → decide → audit, for every call of every front end. A denial is on disk before it
// is answered; what was allowed is recorded by whoever performs it.

#include <memory>
#include <string>

#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/caller.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/policy_store.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::agent {

class Access {
 public:
  Access(Core& core, security::PolicyStore& store, AuditWriter& audit, Metrics& metrics);

  // Thread-safe, no side effect: `can-i`, and lists that show only what one may see.
  [[nodiscard]] security::Decision decide(const security::Principal& principal,
                                          security::Verb verb,
                                          const security::Resource& resource = {}) const;

  // The decision if it allows; otherwise kPermissionDenied after the denial was recorded (or the
  // audit log's error: a denial that cannot be recorded is still a denial).
  Task<Result<security::Decision>> authorise(Caller caller,
                                             security::Verb verb,
                                             security::Resource resource,
                                             std::string action);

  // As `authorise`, and records the allowed call too (grouped): for reads by administrators.
  Task<Result<void>> authorise_read(Caller caller, security::Verb verb, std::string action);

  // The policy in force: the stored one, or the built-in one while none was ever given.
  [[nodiscard]] std::shared_ptr<const security::Policy> policy() const;
  [[nodiscard]] security::PolicyStore& store() { return store_; }

 private:
  Core& core_;
  security::PolicyStore& store_;
  AuditWriter& audit_;
  Metrics& metrics_;
  std::shared_ptr<const security::Policy> bootstrap_;
};

}  // namespace skerry::agent
