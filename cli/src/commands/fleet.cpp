// skerry fleet: the commands for many gateways and the options that name controller and operator.

#include "fleet.hpp"

#include "commands.hpp"

namespace skerry::cli {

std::string rollout_state(fleet::RolloutState state) {
  constexpr std::string_view kPrefix = "ROLLOUT_STATE_";
  std::string name = fleet::RolloutState_Name(state);
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

void add_fleet_command(Command& app, Invocation& invocation) {
  Command* command = app.add_subcommand("fleet", "many gateways, through their controller");
  command->require_subcommand(1);
  auto options = std::make_shared<Fleet>();
  FleetArguments& arguments = options->arguments;
  command->add_option("--controller", arguments.profile.controller, "host:port");
  command->add_option("--cert", arguments.profile.cert, "the operator's certificate");
  command->add_option(
      "--key", arguments.profile.key, "the operator's private key: path or key URI");
  command->add_option(
      "--ca", arguments.profile.ca, "certificates that the controller's is checked with");
  command->add_option("--server-name",
                      arguments.profile.server_name,
                      "the name in the controller's certificate, if it is not the host");
  command->add_option(
      "--operator", arguments.operator_folder, "folder with operator.crt, operator.key and ca.crt");
  command->add_option("--profile", arguments.file, "default: ~/.config/skerry/fleet.toml");
  add_fleet_info(*command, invocation, options);
  add_fleet_token(*command, invocation, options);
  add_fleet_devices(*command, invocation, options);
  add_fleet_models(*command, invocation, options);
  add_fleet_push(*command, invocation, options);
  add_fleet_publish(*command, invocation, options);
  add_fleet_rollout(*command, invocation, options);
  add_fleet_telemetry(*command, invocation, options);
  add_fleet_audit(*command, invocation, options);
  add_fleet_reports(*command, invocation, options);
  add_fleet_ca(*command, invocation, options);
  add_fleet_renew(*command, invocation, options);
  add_fleet_standing(*command, invocation, options);
}

}  // namespace skerry::cli
