// skerry gc: removes blobs that nothing needs any more.

#include "admin.hpp"
#include "commands.hpp"

namespace skerry::cli {
namespace {

struct Options {
  bool dry_run = false;
};

Result<int> run(Invocation& invocation, const Options& options) {
  admin::CollectRequest request;
  request.set_dry_run(options.dry_run);
  const auto response = call_admin(
      invocation, &admin::AdminService::Stub::Collect, request, std::chrono::minutes{10});
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

void add_gc_command(CLI::App& app, Invocation& invocation) {
  CLI::App* command = app.add_subcommand("gc", "remove blobs that nothing needs any more");
  const auto options = add_action<Options>(command, invocation, run);
  command->add_flag("--dry-run", options->dry_run, "only say what would be removed and why not");
}

}  // namespace skerry::cli
