#include "skerry/security/rbac.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace skerry::security {

namespace {

struct VerbName {
  Verb verb;
  std::string_view name;
};

constexpr std::array kVerbs{
    VerbName{Verb::kInfer, "infer"},
    VerbName{Verb::kEmbed, "embed"},
    VerbName{Verb::kTokenize, "tokenize"},
    VerbName{Verb::kList, "list"},
    VerbName{Verb::kLoad, "load"},
    VerbName{Verb::kUnload, "unload"},
    VerbName{Verb::kAdminStatus, "admin.status"},
    VerbName{Verb::kAdminRegistryRead, "admin.registry.read"},
    VerbName{Verb::kAdminRegistryWrite, "admin.registry.write"},
    VerbName{Verb::kAdminModelsImport, "admin.models.import"},
    VerbName{Verb::kAdminModelsVouch, "admin.models.vouch"},
    VerbName{Verb::kAdminSlotsRead, "admin.slots.read"},
    VerbName{Verb::kAdminSlotsWrite, "admin.slots.write"},
    VerbName{Verb::kAdminPolicyRead, "admin.policy.read"},
    VerbName{Verb::kAdminPolicyWrite, "admin.policy.write"},
    VerbName{Verb::kAdminTokens, "admin.tokens"},
    VerbName{Verb::kAdminConfig, "admin.config"},
    VerbName{Verb::kAdminShutdown, "admin.shutdown"},
    VerbName{Verb::kAuditRead, "audit.read"},
    VerbName{Verb::kAuditExport, "audit.export"},
    VerbName{Verb::kMetricsRead, "metrics.read"},
    VerbName{Verb::kFleetDevicesRead, "fleet.devices.read"},
    VerbName{Verb::kFleetDevicesWrite, "fleet.devices.write"},
    VerbName{Verb::kFleetEnrol, "fleet.enrol"},
    VerbName{Verb::kFleetModelsRead, "fleet.models.read"},
    VerbName{Verb::kFleetModelsPush, "fleet.models.push"},
    VerbName{Verb::kFleetModelsPublish, "fleet.models.publish"},
    VerbName{Verb::kFleetRolloutRead, "fleet.rollout.read"},
    VerbName{Verb::kFleetRolloutWrite, "fleet.rollout.write"},
    VerbName{Verb::kFleetRolloutApprove, "fleet.rollout.approve"},
    VerbName{Verb::kFleetTelemetryRead, "fleet.telemetry.read"},
    VerbName{Verb::kFleetAuditRead, "fleet.audit.read"},
    VerbName{Verb::kFleetOperators, "fleet.operators"},
};

// Levenshtein distance, for "did you mean"; names are short.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool any_glob(const std::vector<std::string>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return pattern == "*" || glob_matches(pattern, text);
  });
}

std::string about(const Resource& resource) {
  if (resource.model.empty()) {
    return {};
  }
  return " " + resource.model + (resource.variant.empty() ? "" : "@" + resource.variant);
}

}  // namespace

std::string_view to_string(Verb verb) noexcept {
  for (const VerbName& entry : kVerbs) {
    if (entry.verb == verb) {
      return entry.name;
    }
  }
  return "unknown";
}

Result<Verb> parse_verb(std::string_view name) {
  constexpr std::size_t kMaxVerb = 64;
  std::string_view nearest;
  std::size_t best = kMaxVerb;
  if (name.size() <= kMaxVerb) {
    for (const VerbName& entry : kVerbs) {
      if (entry.name == name) {
        return entry.verb;
      }
      const std::size_t far = distance(entry.name, name);
      if (far < best) {
        best = far;
        nearest = entry.name;
      }
    }
  }
  std::string message = "unknown verb '" + std::string{name.substr(0, kMaxVerb)} + "'";
  if (!nearest.empty()) {
    message += "; did you mean '" + std::string{nearest} + "'?";
  }
  return Error{Error::Code::kInvalidArgument, std::move(message)};
}

const std::vector<Verb>& all_verbs() {
  static const std::vector<Verb> verbs = [] {
    std::vector<Verb> out;
    out.reserve(std::size(kVerbs));
    for (const VerbName& entry : kVerbs) {
      out.push_back(entry.verb);
    }
    return out;
  }();
  return verbs;
}

bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0;
  std::size_t t = 0;
  // Where the last star was, and how far the text had come: enough to try again, since a star never
  // needs to give way to an earlier one.
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() &&
               (pattern[p] == text[t] || (pattern[p] == '?' && text[t] != '/'))) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos && text[resume] != '/') {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    ++p;
  }
  return p == pattern.size();
}

Json Decision::to_json() const {
  Json::Object out;
  out.emplace("allowed", allowed);
  out.emplace("verb", std::string{security::to_string(verb)});
  out.emplace("policy_version", policy_version);
  out.emplace("reason", reason);
  for (const auto& [key, value] :
       {std::pair{"role", role}, std::pair{"binding", binding}, std::pair{"rule", rule}}) {
    if (!value.empty()) {
      out.emplace(key, value);
    }
  }
  return Json{std::move(out)};
}

Result<void> Decision::check() const {
  if (allowed) {
    return {};
  }
  return Error{Error::Code::kPermissionDenied,
               principal + " may not " + std::string{security::to_string(verb)} + about(resource)};
}

// A rule that names models does not apply to a request that names none, and vice versa only "*"
// reaches everything.
PolicyRule::Match PolicyRule::match(Verb verb, const Resource& resource) const {
  if (std::find(verbs.begin(), verbs.end(), verb) == verbs.end()) {
    return Match::kOtherVerb;
  }
  if (!any_glob(models, resource.model)) {
    return Match::kOtherModel;
  }
  // A deny on some variants must not hit a request that has not chosen one yet; it is decided again
  // when the variant is known.
  return any_glob(variants, resource.variant) ? Match::kApplies : Match::kOtherVariant;
}

std::string_view to_string(PolicyRule::Match match) noexcept {
  switch (match) {
    case PolicyRule::Match::kApplies:
      return "applies";
    case PolicyRule::Match::kOtherVerb:
      return "other verb";
    case PolicyRule::Match::kOtherModel:
      return "other model";
    case PolicyRule::Match::kOtherVariant:
      break;
  }
  return "other variant";
}

bool PolicySubject::matches(const Principal& principal) const {
  using PrincipalKind = Principal::Kind;
  switch (kind) {
    case Kind::kUid:
      return principal.kind == PrincipalKind::kUid && principal.uid == number;
    case Kind::kGid:
      return principal.kind == PrincipalKind::kUid &&
             std::find(principal.gids.begin(), principal.gids.end(), number) !=
                 principal.gids.end();
    case Kind::kGroup:
      return principal.kind == PrincipalKind::kUid &&
             std::find(principal.groups.begin(), principal.groups.end(), name) !=
                 principal.groups.end();
    case Kind::kToken:
      return principal.kind == PrincipalKind::kToken && principal.name == name;
    case Kind::kSpiffe:
      return principal.kind == PrincipalKind::kSpiffe && glob_matches(name, principal.name);
    case Kind::kSystem:
      return principal.kind == PrincipalKind::kSystem && glob_matches(name, principal.name);
    case Kind::kAuthenticated:
      return principal.kind != PrincipalKind::kAnonymous;
  }
  return false;
}

Decision Policy::decide(const Principal& principal, Verb verb, const Resource& resource) const {
  Decision decision;
  decision.verb = verb;
  decision.principal = principal.to_string();
  decision.resource = resource;
  decision.policy_version = version_;
  bool bound = false;
  for (const PolicyBinding& binding : bindings_) {
    const bool applies = std::any_of(
        binding.subjects.begin(), binding.subjects.end(), [&](const PolicySubject& subject) {
          return subject.matches(principal);
        });
    if (!applies) {
      continue;
    }
    bound = true;
    // `parse` guarantees that the role exists.
    const auto role = std::find_if(roles_.begin(), roles_.end(), [&](const PolicyRole& candidate) {
      return candidate.name == binding.role;
    });
    if (role == roles_.end()) {
      continue;
    }
    for (const PolicyRule& rule : role->rules) {
      const bool denies = rule.effect == PolicyRule::Effect::kDeny;
      // The first allow is remembered; a deny anywhere ends the matter.
      if ((decision.allowed && !denies) ||
          rule.match(verb, resource) != PolicyRule::Match::kApplies) {
        continue;
      }
      decision.role = role->name;
      decision.binding = binding.name;
      decision.rule = rule.id;
      decision.allowed = !denies;
      decision.quota = denies ? PolicyQuota{} : role->quota;
      if (denies) {
        decision.reason = "denied by rule " + rule.id + " of role " + role->name + " (binding " +
                          binding.name + ")";
        return decision;
      }
    }
  }
  if (decision.allowed) {
    decision.reason = "allowed by rule " + decision.rule + " of role " + decision.role +
                      " (binding " + decision.binding + ")";
  } else if (bound) {
    decision.reason = "denied: no rule of its roles allows " +
                      std::string{security::to_string(verb)} + about(resource);
  } else {
    decision.reason = "denied: no binding names " + decision.principal;
  }
  return decision;
}

std::vector<RuleTrace> Policy::explain(const Principal& principal,
                                       Verb verb,
                                       const Resource& resource) const {
  std::vector<RuleTrace> traces;
  for (const PolicyBinding& binding : bindings_) {
    const bool applies = std::any_of(
        binding.subjects.begin(), binding.subjects.end(), [&](const PolicySubject& subject) {
          return subject.matches(principal);
        });
    if (!applies) {
      continue;
    }
    for (const PolicyRole& role : roles_) {
      if (role.name != binding.role) {
        continue;
      }
      for (const PolicyRule& rule : role.rules) {
        traces.push_back(
            {binding.name, role.name, rule.id, rule.effect, rule.match(verb, resource)});
      }
    }
  }
  return traces;
}

}  // namespace skerry::security
