// skerry rollback: makes the previous generation of a slot active again.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct RollbackOptions {
  std::string slot = "default";
};

Result<int> run_rollback(Invocation& invocation, const RollbackOptions& options) {
  admin::RollbackRequest request;
  request.set_slot(options.slot);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    invocation.console.line(fmt::format("{} runs {} again (committed in {:.1f} ms)",
                                        options.slot,
                                        model_text(response->slot().active()),
                                        static_cast<double>(response->commit_us()) / 1000.0));
  }
  return kExitDone;
}

}  // namespace

void add_rollback_command(Command& app, Invocation& invocation) {
  Command* command =
      app.add_subcommand("rollback", "make a slot's previous generation active again");
  const auto options = add_action<RollbackOptions>(command, invocation, run_rollback);
  command->add_option("slot", options->slot, "the slot")->show_default();
}

}  // namespace skerry::cli
