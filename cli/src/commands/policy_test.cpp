// skerry policy test: a policy file without a daemon: is it valid, what does it answer to one
// question, and does it say what a table of expectations says.

#include <algorithm>

#include <fmt/format.h>

#include "policy_commands.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMaxTable = 1U << 20U;

struct PolicyTestOptions {
  std::string file;
  std::string subject;
  std::string verb;
  std::string resource;
  std::string table;
  bool verbose = false;
};

Result<int> ask_policy(Invocation& invocation,
                       const security::Policy& policy,
                       const PolicyTestOptions& options) {
  const auto subject = security::parse_principal(options.subject);
  if (!subject) {
    return subject.error();
  }
  const auto verb = security::parse_verb(options.verb);
  if (!verb) {
    return verb.error();
  }
  const security::Decision decision =
      policy.decide(*subject, *verb, parse_resource(options.resource));
  if (invocation.json) {
    invocation.console.print_json(decision.to_json());
  } else {
    invocation.console.line((decision.allowed ? "yes: " : "no: ") + decision.reason);
  }
  return decision.allowed ? kExitDone : kExitNo;
}

Result<int> run_policy_test(Invocation& invocation, const PolicyTestOptions& options) {
  const auto loaded = load_policy(invocation, options.file);
  if (!loaded) {
    return loaded.error();
  }
  const security::Policy& policy = loaded->policy;
  if (!options.table.empty()) {
    if (!options.verb.empty()) {
      return Error{Error::Code::kInvalidArgument, "give a question or --expect, not both at once"};
    }
    const auto missed = run_expectations(invocation, policy, options.table, options.verbose);
    if (!missed) {
      return missed.error();
    }
    return *missed == 0 ? kExitDone : kExitNo;
  }
  if (!options.verb.empty()) {
    return ask_policy(invocation, policy, options);
  }
  if (invocation.json) {
    invocation.console.print_json(
        Json{Json::Object{{"version", policy.version()},
                          {"digest", policy.digest().to_string()},
                          {"roles", static_cast<std::int64_t>(policy.roles().size())},
                          {"bindings", static_cast<std::int64_t>(policy.bindings().size())}}});
    return kExitDone;
  }
  invocation.console.line(fmt::format("{} is a valid policy: version {}, {} roles, {} bindings",
                                      options.file,
                                      policy.version(),
                                      policy.roles().size(),
                                      policy.bindings().size()));
  return kExitDone;
}

}  // namespace

Result<PolicyFile> load_policy(Invocation& invocation, const std::string& file) {
  auto document = read_file(invocation.fs, file, security::PolicyLimits::kBytes);
  if (!document) {
    return document.error();
  }
  auto policy = security::Policy::parse(*document);
  if (!policy) {
    return policy.error().with_context(file);
  }
  return PolicyFile{std::move(*document), std::move(*policy)};
}

security::Resource parse_resource(const std::string& text) {
  security::Resource resource;
  resource.model = text;
  if (const std::size_t at = text.find('@'); at != std::string::npos) {
    resource.variant = text.substr(at + 1);
    resource.model.resize(at);
  }
  return resource;
}

Result<std::size_t> run_expectations(Invocation& invocation,
                                     const security::Policy& policy,
                                     const std::string& file,
                                     bool verbose) {
  const auto text = read_file(invocation.fs, file, kMaxTable);
  if (!text) {
    return text.error();
  }
  const auto table = security::parse_expectations(*text, file);
  if (!table) {
    return table.error();
  }
  const auto results = security::check_expectations(policy, *table);
  const auto missed = static_cast<std::size_t>(std::count_if(
      results.begin(), results.end(), [](const auto& result) { return !result.met; }));
  if (invocation.json) {
    Json report = security::to_json(results);
    report.object()->emplace("policy_version", policy.version());
    report.object()->emplace("policy_digest", policy.digest().to_string());
    invocation.console.print_json(report);
    return missed;
  }
  for (const auto& result : results) {
    if (!result.met) {
      invocation.console.line(printable(
          fmt::format("MISS {}: {}{}: {}",
                      result.expected.where,
                      result.expected.question(),
                      result.expected.note.empty() ? "" : " (" + result.expected.note + ")",
                      result.miss)));
    } else if (verbose) {
      invocation.console.line(printable(fmt::format("ok   {}: {}: {}",
                                                    result.expected.where,
                                                    result.expected.question(),
                                                    result.decision.reason)));
    }
  }
  invocation.console.line(fmt::format("policy version {}: {} of {} expectations met, {} missed",
                                      policy.version(),
                                      results.size() - missed,
                                      results.size(),
                                      missed));
  return missed;
}

void add_policy_test(Command& policy, Invocation& invocation) {
  Command* test = policy.add_subcommand(
      "test", "check a policy file without a daemon, ask it a question, or run a table against it");
  const auto options = add_action<PolicyTestOptions>(test, invocation, run_policy_test);
  test->add_option("file", options->file, "")->required();
  test->add_option("verb", options->verb, "infer, embed, list, …; absent: only check the file");
  test->add_option("resource", options->resource, "team/name or team/name@variant");
  test->add_option("--as", options->subject, "uid:1000, token:NAME, spiffe://…");
  test->add_option(
      "--expect", options->table, "TOML table of expectations; exit code 3 if one is missed");
  test->add_flag("--verbose", options->verbose, "print expectations that are met, too");
}

}  // namespace skerry::cli
