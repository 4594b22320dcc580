// skerry decommission: the end of this gateway, with or without a network.

#include <fmt/format.h>

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct DecommissionOptions {
  std::string gateway;
  std::string reason;
  bool yes = false;
};

Result<int> run_decommission(Invocation& invocation, const DecommissionOptions& options) {
  if (!options.yes) {
    return Error{Error::Code::kInvalidArgument,
                 "this deletes the keys, models and logs of this gateway and cannot be undone: add "
                 "--yes"};
  }
  admin::DecommissionRequest request;
  request.set_confirm(options.gateway);
  request.set_reason(options.reason);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    invocation.console.line(fmt::format(
        "{} deletes everything and ends (order {})", options.gateway, response->order_id()));
  }
  return kExitDone;
}

}  // namespace

void add_decommission_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand(
      "decommission", "delete the keys and data of this gateway, for ever; needs no network");
  const auto options = add_action<DecommissionOptions>(command, invocation, run_decommission);
  command->add_option("gateway", options->gateway, "its name or id, to be sure it is this one")
      ->required();
  command->add_option("--reason", options->reason, "for the record");
  command->add_flag("--yes", options->yes, "really");
}

}  // namespace skerry::cli
