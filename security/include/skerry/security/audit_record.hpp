#pragma once

// What one audit record says (docs/audit.md is the field table). An `AuditEvent` is what a
// component knows; the log adds sequence, times, boot and device. Prompts, answers and secrets are
// never fields.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "skerry/common/clock.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/json.hpp"
#include "skerry/security/principal.hpp"
#include "skerry/security/rbac.hpp"
#include "skerry/security/trusted_time.hpp"

namespace skerry::security {

// What happened. The numbers are class_uid * 100 + activity of OCSF, so that collectors know them.
enum class AuditClass {
  kInference,       // API Activity
  kAuthorisation,   // a decision that denied
  kAuthentication,  // tokens, certificates, enrolment
  kModelChange,     // activation, rollback, quarantine
  kAdministration,  // configuration, slots, tokens
  kPolicyChange,
  kTrust,       // TUF updates and refusals
  kAuditItself  // start, recovery, loss
};

std::string_view to_string(AuditClass audit_class) noexcept;

enum class AuditOutcome { kSuccess, kDenied, kFailure, kUnknown };

std::string_view to_string(AuditOutcome outcome) noexcept;

// kIntent is written before the effect and kOutcome after it, under one correlation id.
enum class AuditPhase { kSingle, kIntent, kOutcome };

std::string_view to_string(AuditPhase phase) noexcept;

// kDurable: on disk and under a signed checkpoint before `append` returns. kGrouped: written at
// once but synced and sealed by the next checkpoint.
enum class AuditDurability { kDurable, kGrouped };

struct AuditObject {
  std::string model;
  std::string version;
  std::string variant;
  std::string slot;
  // "sha256:…" of the manifest, and of the one blob that matters if any.
  std::string manifest_digest;
  std::string blob_digest;
};

struct AuditEvent {
  AuditClass audit_class = AuditClass::kAdministration;
  // Dotted and stable: "inference.generate", "model.activate", "token.create".
  std::string action;
  AuditPhase phase = AuditPhase::kSingle;
  AuditDurability durability = AuditDurability::kDurable;
  Principal actor;
  // "peercred", "token", "mtls", "internal".
  std::string authn_method;
  std::optional<Decision> decision;
  AuditObject object;
  AuditOutcome outcome = AuditOutcome::kSuccess;
  std::string reason;
  // Ties intent to outcome, and the record to a request.
  std::string correlation_id;
  // Small facts: token counts, generation, sizes. An object, at most 4 KiB canonical, integers and
  // text only.
  Json details;

  // Denials are durable; the event carries the decision's reason.
  static AuditEvent denied(const Principal& actor,
                           std::string authn_method,
                           std::string action,
                           const Decision& decision);
  // An allowed inference: grouped.
  static AuditEvent inference(const Principal& actor,
                              std::string authn_method,
                              std::string action,
                              const Decision& decision,
                              AuditObject object,
                              AuditOutcome outcome);
  static AuditEvent intent(AuditClass audit_class,
                           const Principal& actor,
                           std::string action,
                           std::string correlation_id);
  // The record that follows this intent.
  [[nodiscard]] AuditEvent outcome_of(AuditOutcome outcome, std::string reason = {}) const;
};

// What the log itself adds.
struct AuditStamp {
  std::uint64_t seq = 0;
  WallTime wall{};
  BootTime boot{};
  std::string boot_id;
  TimeQuality time_quality = TimeQuality::kUnattested;
  std::string device_id;
  std::string tenant;
};

// The canonical JSON that is hashed and stored. kInvalidArgument for details that are too large or
// hold a float.
Result<std::string> encode_audit_record(const AuditEvent& event, const AuditStamp& stamp);

}  // namespace skerry::security
