// skerry auth can-i VERB [MODEL]: asks the daemon's policy and explains the answer.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct AuthOptions {
  std::string verb;
  std::string resource;
  std::string subject;
};

Result<int> run_auth(Invocation& invocation, const AuthOptions& options) {
  admin::CanIRequest request;
  request.set_verb(options.verb);
  request.set_resource(options.resource);
  request.set_subject(options.subject);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    invocation.console.line(fmt::format("{}: {} (policy {})",
                                        response->allowed() ? "yes" : "no",
                                        printable(response->reason()),
                                        response->policy_version()));
  }
  return response->allowed() ? kExitDone : kExitNo;
}

}  // namespace

void add_auth_command(Command& app, Invocation& invocation) {
  Command* auth = app.add_subcommand("auth", "questions about permissions");
  auth->require_subcommand(1);
  Command* command =
      auth->add_subcommand("can-i", "may this subject do that? exit code 0: yes, 3: no");
  const auto options = add_action<AuthOptions>(command, invocation, run_auth);
  command->add_option("verb", options->verb, "infer, embed, list, load, admin.status, …")
      ->required();
  command->add_option("resource", options->resource, "team/name");
  command->add_option("--as", options->subject, "uid:1000, token:NAME, spiffe://…; default: you");
}

}  // namespace skerry::cli
