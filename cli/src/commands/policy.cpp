// skerry policy get|set|check|test: the document that says who may do what.

#include <fmt/format.h>

#include "skerry/security/rbac.hpp"

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

Result<int> run_get(Invocation& invocation, const NoOptions& /*options*/) {
  const auto response = call_admin(invocation, admin::GetPolicyRequest{});
  if (!response) {
    return response.error();
  }
  invocation.console.print(response->document());
  if (!response->document().ends_with('\n')) {
    invocation.console.line("");
  }
  invocation.console.note("policy " + response->policy_version());
  return kExitDone;
}

struct FileOptions {
  std::string file;
  bool dry_run = false;
};

Result<security::Policy> load(Invocation& invocation, const std::string& file) {
  auto document = read_file(invocation.fs, file, security::PolicyLimits::kBytes);
  if (!document) {
    return document.error();
  }
  auto policy = security::Policy::parse(*document);
  return policy ? std::move(policy) : policy.error().with_context(file);
}

Result<int> run_set(Invocation& invocation, const FileOptions& options) {
  // Checked here first, so that a slip never reaches the daemon.
  if (const auto policy = load(invocation, options.file); !policy) {
    return policy.error();
  }
  auto document = read_file(invocation.fs, options.file, security::PolicyLimits::kBytes);
  if (!document) {
    return document.error();
  }
  admin::SetPolicyRequest request;
  request.set_document(std::move(*document));
  request.set_dry_run(options.dry_run);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  invocation.console.line((options.dry_run ? "would set policy " : "policy is now ") +
                          response->policy_version());
  return kExitDone;
}

struct TestOptions {
  std::string file;
  std::string subject;
  std::string verb;
  std::string resource;
};

Result<security::Principal> parse_subject(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (kind == "spiffe") {
    return security::Principal::spiffe(text);
  }
  if (kind == "token" && !rest.empty()) {
    return security::Principal::token(rest);
  }
  if (kind == "system" && !rest.empty()) {
    return security::Principal::system(rest);
  }
  if (kind == "uid" && !rest.empty() && rest.size() < 10 &&
      rest.find_first_not_of("0123456789") == std::string::npos) {
    return security::Principal::local(static_cast<std::uint32_t>(std::stoul(rest)), {});
  }
  return Error{Error::Code::kInvalidArgument,
               "'" + text + "' is no subject: uid:1000, token:NAME, spiffe://… or system:NAME"};
}

Result<int> run_test(Invocation& invocation, const TestOptions& options) {
  const auto policy = load(invocation, options.file);
  if (!policy) {
    return policy.error();
  }
  if (options.verb.empty()) {
    invocation.console.line(fmt::format("{} is a valid policy: version {}, {} roles, {} bindings",
                                        options.file,
                                        policy->version(),
                                        policy->roles().size(),
                                        policy->bindings().size()));
    return kExitDone;
  }
  const auto subject = parse_subject(options.subject);
  if (!subject) {
    return subject.error();
  }
  const auto verb = security::parse_verb(options.verb);
  if (!verb) {
    return verb.error();
  }
  security::Resource resource;
  resource.model = options.resource;
  if (const std::size_t at = options.resource.find('@'); at != std::string::npos) {
    resource.variant = options.resource.substr(at + 1);
    resource.model = options.resource.substr(0, at);
  }
  const security::Decision decision = policy->decide(*subject, *verb, resource);
  if (invocation.json) {
    invocation.console.print_json(decision.to_json());
  } else {
    invocation.console.line((decision.allowed ? "yes: " : "no: ") + decision.reason);
  }
  return decision.allowed ? kExitDone : kExitNo;
}

}  // namespace

void add_policy_command(Command& app, Invocation& invocation) {
  Command* policy = app.add_subcommand("policy", "who may do what on this gateway");
  policy->require_subcommand(1);
  add_action<NoOptions>(
      policy->add_subcommand("get", "print the policy in force"), invocation, run_get);
  Command* set = policy->add_subcommand("set", "check a policy file and put it in force");
  const auto set_options = add_action<FileOptions>(set, invocation, run_set);
  set->add_option("file", set_options->file, "JSON, docs/formats/policy.md")->required();
  set->add_flag("--dry-run", set_options->dry_run, "let the daemon check it, change nothing");
  Command* test =
      policy->add_subcommand("test", "check a policy file without a daemon, or ask it a question");
  const auto test_options = add_action<TestOptions>(test, invocation, run_test);
  test->add_option("file", test_options->file, "")->required();
  test->add_option(
      "verb", test_options->verb, "infer, embed, list, …; absent: only check the file");
  test->add_option("resource", test_options->resource, "team/name or team/name@variant");
  test->add_option("--as", test_options->subject, "uid:1000, token:NAME, spiffe://…");
}

}  // namespace skerry::cli
