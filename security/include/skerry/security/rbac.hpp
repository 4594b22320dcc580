#pragma once

// Role-based access control, Kubernetes-shaped: roles hold rules, bindings give roles to subjects.
// Nothing is allowed unless a rule allows it, and an explicit deny wins over every allow. A
// `Decision` carries why, for the audit log and `skerry auth can-i`. The document's format is in
// docs/formats/policy.md; where the current one is kept is policy_store.hpp.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/principal.hpp"

namespace skerry::security {

enum class Verb {
  // on a model
  kInfer,
  kEmbed,
  kTokenize,
  kList,
  kLoad,
  kUnload,
  // administration of a gateway
  kAdminStatus,
  kAdminRegistryRead,
  kAdminRegistryWrite,
  kAdminModelsImport,
  kAdminModelsVouch,
  kAdminSlotsRead,
  kAdminSlotsWrite,
  kAdminPolicyRead,
  kAdminPolicyWrite,
  kAdminTokens,
  kAdminConfig,
  kAdminShutdown,
  kAuditRead,
  kAuditExport,
  kMetricsRead,
  // the controller
  kFleetDevicesRead,
  kFleetDevicesWrite,
  kFleetEnrol,
  kFleetModelsRead,
  kFleetModelsPush,
  kFleetModelsPublish,
  kFleetRolloutRead,
  kFleetRolloutWrite,
  kFleetRolloutApprove,
  kFleetTelemetryRead,
  kFleetAuditRead,
  kFleetOperators
};

// "infer", "admin.slots.write", "fleet.models.push": as a policy writes it.
std::string_view to_string(Verb verb) noexcept;
// kInvalidArgument names the nearest known verb.
Result<Verb> parse_verb(std::string_view name);
const std::vector<Verb>& all_verbs();

struct Resource {
  // "team/name"; empty for verbs that concern no model.
  std::string model;
  // Empty: not chosen yet; matches a rule only if the rule takes every variant.
  std::string variant;
};

// What each principal of a role may take; 0: no limit. Gateways hold inference to it.
struct PolicyQuota {
  std::uint32_t requests_per_minute = 0;
  std::uint64_t tokens_per_minute = 0;
  std::uint32_t concurrent = 0;

  [[nodiscard]] bool empty() const {
    return requests_per_minute == 0 && tokens_per_minute == 0 && concurrent == 0;
  }
  friend bool operator==(const PolicyQuota&, const PolicyQuota&) = default;
};

// Which rule decided. Text fields are empty when no rule matched (denied by default).
struct Decision {
  bool allowed = false;
  Verb verb = Verb::kInfer;
  std::string principal;
  Resource resource;
  std::string role;
  std::string binding;
  // "<role>/rules[<index>]", or the rule's own id.
  std::string rule;
  std::int64_t policy_version = 0;
  // Of the role that allows.
  PolicyQuota quota;
  // For people: "allowed by role apps (binding local-apps)", "denied: no rule allows …".
  std::string reason;

  // The authz object of an audit record.
  [[nodiscard]] Json to_json() const;
  // kPermissionDenied with the principal, verb and model if denied.
  [[nodiscard]] Result<void> check() const;
};

// `*` matches any run of characters within one part, `?` one character, neither matches `/`; "*"
// alone matches every model. Time linear in |pattern| × |text|.
bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

struct PolicyRule {
  enum class Effect { kAllow, kDeny };
  std::string id;
  Effect effect = Effect::kAllow;
  std::vector<Verb> verbs;
  std::vector<std::string> models;
  std::vector<std::string> variants;

  // Whether it speaks about a request, or what of it the rule does not cover.
  enum class Match { kApplies, kOtherVerb, kOtherModel, kOtherVariant };
  [[nodiscard]] Match match(Verb verb, const Resource& resource) const;
};

// "applies", "other verb", "other model", "other variant".
std::string_view to_string(PolicyRule::Match match) noexcept;

struct PolicyRole {
  std::string name;
  std::vector<PolicyRule> rules;
  PolicyQuota quota;
};

struct PolicySubject {
  enum class Kind { kUid, kGid, kGroup, kToken, kSpiffe, kSystem, kAuthenticated };
  Kind kind = Kind::kUid;
  std::uint32_t number = 0;
  // Token, group or component name; a glob over the URI for kSpiffe.
  std::string name;

  [[nodiscard]] bool matches(const Principal& principal) const;
};

struct PolicyBinding {
  std::string name;
  std::string role;
  std::vector<PolicySubject> subjects;
};

// One rule that a principal is bound to, beside a request: how a decision came about.
struct RuleTrace {
  std::string binding;
  std::string role;
  std::string rule;
  PolicyRule::Effect effect = PolicyRule::Effect::kAllow;
  PolicyRule::Match match = PolicyRule::Match::kApplies;
};

// Limits of a policy document; more is kPolicyInvalid.
struct PolicyLimits {
  static constexpr std::size_t kBytes = 1U << 20U;
  static constexpr std::size_t kRoles = 256;
  static constexpr std::size_t kRulesPerRole = 256;
  static constexpr std::size_t kBindings = 1024;
  static constexpr std::size_t kSubjectsPerBinding = 1024;
  static constexpr std::size_t kPatternsPerRule = 256;
  static constexpr std::size_t kPatternLength = 256;
  static constexpr std::int64_t kQuota = 1'000'000'000;
};

// Immutable once parsed; share it as `std::shared_ptr<const Policy>`. All calls are thread-safe.
class Policy {
 public:
  // Denies everything; version 0.
  Policy() = default;
  // kPolicyInvalid names the path of the offending value: "roles[1].rules[0].verbs[2]: …".
  static Result<Policy> parse(std::string_view document);

  [[nodiscard]] std::int64_t version() const { return version_; }
  // Of the document's exact bytes.
  [[nodiscard]] const Digest& digest() const { return digest_; }
  [[nodiscard]] const std::vector<PolicyRole>& roles() const { return roles_; }
  [[nodiscard]] const std::vector<PolicyBinding>& bindings() const { return bindings_; }

  // Never fails: what is not allowed is denied.
  [[nodiscard]] Decision decide(const Principal& principal,
                                Verb verb,
                                const Resource& resource = {}) const;

  // Every rule of every role that `principal` is bound to, in the order in which `decide` reads
  // them; empty if no binding names the principal.
  [[nodiscard]] std::vector<RuleTrace> explain(const Principal& principal,
                                               Verb verb,
                                               const Resource& resource = {}) const;

 private:
  std::int64_t version_ = 0;
  Digest digest_;
  std::vector<PolicyRole> roles_;
  std::vector<PolicyBinding> bindings_;
};

}  // namespace skerry::security
