// skerry fleet revoke, reinstate, decommission: whether a device belongs to the fleet.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetStandingOptions {
  std::shared_ptr<Fleet> fleet;
  std::string device;
  std::string reason;
  bool yes = false;
};

using StandingCall =
    Result<fleet::Device> (FleetConnection::*)(const fleet::DeviceActionRequest&) const;

Result<int> change_standing(Invocation& invocation,
                            const FleetStandingOptions& options,
                            StandingCall call) {
  fleet::DeviceActionRequest request;
  request.set_device_id(options.device);
  request.set_reason(options.reason);
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto device = (*connection.*call)(request);
  if (!device) {
    return device.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*device));
  } else {
    invocation.console.line(fmt::format("{} is {}", device->device_id(), device->standing()));
  }
  return kExitDone;
}

Result<int> run_fleet_revoke(Invocation& invocation, const FleetStandingOptions& options) {
  return change_standing(invocation, options, &FleetConnection::revoke);
}

Result<int> run_fleet_reinstate(Invocation& invocation, const FleetStandingOptions& options) {
  return change_standing(invocation, options, &FleetConnection::reinstate);
}

Result<int> run_fleet_decommission(Invocation& invocation, const FleetStandingOptions& options) {
  if (!options.yes) {
    return Error{Error::Code::kInvalidArgument,
                 "this makes " + options.device +
                     " delete its keys, models and logs, and cannot be undone: add --yes"};
  }
  return change_standing(invocation, options, &FleetConnection::decommission);
}

}  // namespace

void add_fleet_standing(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  const auto add = [&](const char* name,
                       const char* what,
                       Result<int> (*run)(Invocation&, const FleetStandingOptions&)) {
    Command* command = app.add_subcommand(name, what);
    auto options = add_fleet_action<FleetStandingOptions>(command, invocation, fleet, run);
    command->add_option("device", options->device, "its id (skerry fleet devices)")->required();
    command->add_option("--reason", options->reason, "for the record");
    return std::pair{command, options};
  };
  add("revoke", "refuse a device from now on, its renewals too", run_fleet_revoke);
  add("reinstate", "take a revocation or the suspicion of a copy back", run_fleet_reinstate);
  const auto [command, options] = add("decommission",
                                      "make a device delete its keys and data, and refuse it",
                                      run_fleet_decommission);
  command->add_flag("--yes", options->yes, "really");
}

}  // namespace skerry::cli
