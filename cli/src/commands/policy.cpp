// skerry policy get|set: the document that says who may do what on this gateway. What needs no
// daemon is in policy_test.cpp and policy_explain.cpp.

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"
#include "policy_commands.hpp"

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

Result<int> run_set(Invocation& invocation, const FileOptions& options) {
  // Checked here first, so that a slip never reaches the daemon.
  auto loaded = load_policy(invocation, options.file);
  if (!loaded) {
    return loaded.error();
  }
  admin::SetPolicyRequest request;
  request.set_document(std::move(loaded->document));
  request.set_dry_run(options.dry_run);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  invocation.console.line((options.dry_run ? "would set policy " : "policy is now ") +
                          response->policy_version());
  return kExitDone;
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
  add_policy_test(*policy, invocation);
  add_policy_explain(*policy, invocation);
  add_policy_publish(*policy, invocation);
  add_policy_break_glass(*policy, invocation);
}

}  // namespace skerry::cli
