// skerry policy show|explain: a policy as people read it, and every rule that had a say in one
// decision. From a file, or of the daemon's policy in force.

#include <fmt/format.h>

#include "admin.hpp"
#include "policy_commands.hpp"

namespace skerry::cli {
namespace {

struct ExplainOptions {
  std::string verb;
  std::string resource;
  std::string subject;
  std::string file;
};

struct ShowOptions {
  std::string file;
};

// The file, or what the daemon has in force.
Result<PolicyFile> policy_of(Invocation& invocation, const std::string& file) {
  if (!file.empty()) {
    return load_policy(invocation, file);
  }
  const auto response = call_admin(invocation, admin::GetPolicyRequest{});
  if (!response) {
    return response.error();
  }
  auto policy = security::Policy::parse(response->document());
  if (!policy) {
    return policy.error().with_context("the daemon's policy");
  }
  return PolicyFile{response->document(), std::move(*policy)};
}

std::string joined_patterns(const std::vector<std::string>& items) {
  return fmt::format("{}", fmt::join(items, " "));
}

std::string verbs_text(const std::vector<security::Verb>& verbs) {
  if (verbs.size() == security::all_verbs().size()) {
    return "*";
  }
  std::string text;
  for (const security::Verb verb : verbs) {
    text += (text.empty() ? "" : " ") + std::string{security::to_string(verb)};
  }
  return text;
}

std::string_view effect_text(security::PolicyRule::Effect effect) {
  return effect == security::PolicyRule::Effect::kDeny ? "deny" : "allow";
}

std::string subject_text(const security::PolicySubject& subject) {
  using Kind = security::PolicySubject::Kind;
  switch (subject.kind) {
    case Kind::kUid:
      return "uid:" + std::to_string(subject.number);
    case Kind::kGid:
      return "gid:" + std::to_string(subject.number);
    case Kind::kGroup:
      return "group:" + subject.name;
    case Kind::kToken:
      return "token:" + subject.name;
    case Kind::kSpiffe:
      return subject.name;
    case Kind::kSystem:
      return "system:" + subject.name;
    case Kind::kAuthenticated:
      break;
  }
  return "authenticated";
}

Result<int> run_policy_show(Invocation& invocation, const ShowOptions& options) {
  const auto loaded = policy_of(invocation, options.file);
  if (!loaded) {
    return loaded.error();
  }
  if (invocation.json) {
    const auto document = Json::parse(loaded->document);
    if (!document) {
      return document.error();
    }
    invocation.console.print_json(*document);
    return kExitDone;
  }
  const security::Policy& policy = loaded->policy;
  invocation.console.line(
      fmt::format("policy version {}, {}", policy.version(), policy.digest().to_string()));
  Table rules{{"role", "rule", "effect", "verbs", "models", "variants"}};
  for (const auto& role : policy.roles()) {
    for (const auto& rule : role.rules) {
      rules.add({role.name,
                 rule.id,
                 std::string{effect_text(rule.effect)},
                 verbs_text(rule.verbs),
                 joined_patterns(rule.models),
                 joined_patterns(rule.variants)});
    }
  }
  invocation.console.line("");
  invocation.console.print(rules.text());
  Table bindings{{"binding", "role", "subjects"}};
  for (const auto& binding : policy.bindings()) {
    std::string subjects;
    for (const auto& subject : binding.subjects) {
      subjects += (subjects.empty() ? "" : " ") + subject_text(subject);
    }
    bindings.add({binding.name, binding.role, subjects});
  }
  invocation.console.line("");
  invocation.console.print(bindings.text());
  return kExitDone;
}

Json traces_json(const std::vector<security::RuleTrace>& traces) {
  Json::Array out;
  for (const auto& trace : traces) {
    out.emplace_back(Json::Object{{"binding", trace.binding},
                                  {"role", trace.role},
                                  {"rule", trace.rule},
                                  {"effect", effect_text(trace.effect)},
                                  {"match", security::to_string(trace.match)}});
  }
  return Json{std::move(out)};
}

Result<int> run_policy_explain(Invocation& invocation, const ExplainOptions& options) {
  const auto loaded = policy_of(invocation, options.file);
  if (!loaded) {
    return loaded.error();
  }
  const auto subject = security::parse_principal(options.subject);
  if (!subject) {
    return subject.error();
  }
  const auto verb = security::parse_verb(options.verb);
  if (!verb) {
    return verb.error();
  }
  const security::Resource resource = parse_resource(options.resource);
  const security::Decision decision = loaded->policy.decide(*subject, *verb, resource);
  const auto traces = loaded->policy.explain(*subject, *verb, resource);
  if (invocation.json) {
    invocation.console.print_json(
        Json{Json::Object{{"decision", decision.to_json()}, {"rules", traces_json(traces)}}});
    return decision.allowed ? kExitDone : kExitNo;
  }
  invocation.console.line((decision.allowed ? "yes: " : "no: ") + printable(decision.reason));
  if (!traces.empty()) {
    Table table{{"binding", "role", "rule", "effect", "about this request"}};
    for (const auto& trace : traces) {
      const bool decided = trace.rule == decision.rule && trace.role == decision.role &&
                           trace.binding == decision.binding;
      table.add({trace.binding,
                 trace.role,
                 trace.rule,
                 std::string{effect_text(trace.effect)},
                 std::string{security::to_string(trace.match)} + (decided ? ": it decides" : "")});
    }
    invocation.console.line("");
    invocation.console.print(table.text());
  }
  return decision.allowed ? kExitDone : kExitNo;
}

}  // namespace

void add_policy_explain(Command& policy, Invocation& invocation) {
  Command* show =
      policy.add_subcommand("show", "a policy's roles and bindings as tables: in force, or a file");
  const auto show_options = add_action<ShowOptions>(show, invocation, run_policy_show);
  show->add_option("file", show_options->file, "default: the daemon's policy in force");
  Command* explain = policy.add_subcommand(
      "explain", "every rule that has a say in one decision; exit code 0: yes, 3: no");
  const auto options = add_action<ExplainOptions>(explain, invocation, run_policy_explain);
  explain->add_option("verb", options->verb, "infer, embed, list, …")->required();
  explain->add_option("resource", options->resource, "team/name or team/name@variant");
  explain->add_option("--as", options->subject, "uid:1000, token:NAME, spiffe://…")->required();
  explain->add_option("--policy", options->file, "a file; default: the daemon's policy in force");
}

}  // namespace skerry::cli
