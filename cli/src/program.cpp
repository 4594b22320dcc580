#include "skerry/cli/program.hpp"

#include <exception>
#include <ostream>

#include "commands.hpp"
#include "invocation.hpp"

namespace skerry::cli {
namespace {

void add_commands(Command& app, Invocation& invocation) {
  // This gateway.
  add_status_command(app, invocation);
  add_slots_command(app, invocation);
  add_models_command(app, invocation);
  add_run_command(app, invocation);
  add_infer_command(app, invocation);
  add_rollback_command(app, invocation);
  add_registry_command(app, invocation);
  // Who may do what, and what was done.
  add_auth_command(app, invocation);
  add_policy_command(app, invocation);
  add_token_command(app, invocation);
  add_audit_command(app, invocation);
  // Making and signing models.
  add_bundle_command(app, invocation);
  add_model_command(app, invocation);
  add_delta_command(app, invocation);
  add_keys_command(app, invocation);
  add_repo_command(app, invocation);
  // The fleet.
  add_decommission_command(app, invocation);
  add_fleet_command(app, invocation);
}

int exit_code(const Error& error) {
  return error.code() == Error::Code::kUnavailable ? kExitUnreachable : kExitFailed;
}

int parse_and_run(const std::vector<std::string>& arguments,
                  Streams streams,
                  Invocation& invocation) {
  const auto line = CommandLine::make(
      "skerry", "Skerry: models on this gateway and on a fleet of them", "skerry " SKERRY_VERSION);
  Command& root = line->root();
  root.add_flag("--json", invocation.json, "print data as JSON");
  root.add_option("--api-socket", invocation.api_socket, "the daemon's socket for apps")
      ->environment("SKERRY_API_SOCKET");
  root.add_option(
          "--admin-socket", invocation.admin_socket, "the daemon's socket for administrators")
      ->environment("SKERRY_ADMIN_SOCKET");
  add_commands(root, invocation);
  const ParseOutcome outcome = line->parse(arguments);
  streams.out << outcome.out;
  streams.err << outcome.err;
  if (!outcome.proceed) {
    return outcome.exit_code;
  }
  const Result<int> code = invocation.action();
  invocation.console.finish_progress();
  invocation.console.flush();
  if (!code) {
    invocation.console.note("skerry: " + printable(code.error().to_string()));
    return exit_code(code.error());
  }
  return *code;
}

}  // namespace

int run_program(const std::vector<std::string>& arguments,
                const std::string& program_dir,
                Streams streams,
                FileSystem& fs,
                const Clock& clock) {
  Invocation invocation{.console = Console{streams},
                        .fs = fs,
                        .clock = clock,
                        .program_dir = program_dir,
                        .action = {}};
  try {
    return parse_and_run(arguments, streams, invocation);
  } catch (const std::exception& error) {
    streams.err << "skerry: internal: " << error.what() << '\n';
    return kExitFailed;
  }
}

}  // namespace skerry::cli
