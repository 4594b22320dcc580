// skerry gc: removes blobs that nothing needs any more.

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct GcOptions {
  bool dry_run = false;
};

Result<int> run_gc(Invocation& invocation, const GcOptions& options) {
  admin::CollectRequest request;
  request.set_dry_run(options.dry_run);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  for (const std::string& decision : response->decisions()) {
    invocation.console.line(printable(decision));
  }
  invocation.console.line((options.dry_run ? "would free " : "freed ") +
                          human_bytes(response->freed_bytes()));
  return kExitDone;
}

}  // namespace

void add_gc_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("gc", "remove blobs that nothing needs any more");
  const auto options = add_action<GcOptions>(command, invocation, run_gc);
  command->add_flag("--dry-run", options->dry_run, "only say what would be removed and why not");
}

}  // namespace skerry::cli
