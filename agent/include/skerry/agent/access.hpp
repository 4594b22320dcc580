#pragma once

// Authenticate → decide → audit, for every call of every front end. A denial is on disk before it
// is answered; what was allowed is recorded by whoever performs it.

#include <memory>
#include <string>

#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/break_glass.hpp"
#include "skerry/agent/caller.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/security_targets.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/policy_store.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::agent {

class Access {
 public:
  Access(Core& core,
         security::PolicyStore& store,
         AuditWriter& audit,
         Metrics& metrics,
         BreakGlass& break_glass,
         const SecurityTargets& signed_targets);

  // No side effect: `can-i`, and lists that show only what one may see. What the policy denies,
  // break-glass may allow.
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

  // The policy in force: the signed one (denying everything if that was lost), else the local one,
  // else the built-in one while none was ever given.
  [[nodiscard]] std::shared_ptr<const security::Policy> policy() const;
  // "signed", "lost", "local" or "built-in".
  [[nodiscard]] std::string_view source() const;
  // The document in force; empty if it was lost.
  [[nodiscard]] std::string document() const;
  // kFailedPrecondition while a signed policy is in force: a local one would change nothing.
  [[nodiscard]] Result<void> check_local() const;
  [[nodiscard]] security::PolicyStore& store() { return store_; }
  [[nodiscard]] BreakGlass& break_glass() { return break_glass_; }

 private:
  Core& core_;
  security::PolicyStore& store_;
  AuditWriter& audit_;
  Metrics& metrics_;
  BreakGlass& break_glass_;
  const SecurityTargets& signed_targets_;
  std::string bootstrap_document_;
  std::shared_ptr<const security::Policy> bootstrap_;
};

}  // namespace skerry::agent
