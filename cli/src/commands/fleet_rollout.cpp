// skerry fleet rollout start|list|status|watch|pause|resume|abort: a model to many gateways, a few
// first.

#include <algorithm>

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct StartOptions {
  std::shared_ptr<Fleet> fleet;
  std::string target;
  std::string slot = "default";
  std::vector<std::string> devices;
  std::uint32_t canary = 1;
  std::uint32_t max_failures = 1;
  std::uint32_t soak_seconds = 0;
  std::string note;
  bool watch = false;
};

struct RolloutOption {
  std::shared_ptr<Fleet> fleet;
  std::string rollout;
};

void print_rollout(Invocation& invocation, const fleet::Rollout& rollout) {
  if (invocation.json) {
    invocation.console.print(to_json(rollout));
    return;
  }
  invocation.console.line(
      fmt::format("{}  {}  slot {}  {}  wave {} of {}{}",
                  rollout.rollout_id(),
                  rollout.target(),
                  rollout.slot(),
                  rollout_state(rollout.state()),
                  rollout.wave(),
                  rollout.waves(),
                  rollout.reason().empty() ? "" : "  (" + rollout.reason() + ")"));
  Table table{{"device", "wave", "status", "state", "variant", "why"}};
  for (const auto& device : rollout.devices()) {
    table.add({device.device_id(),
               std::to_string(device.wave()),
               device.status(),
               device.report().state(),
               device.report().variant(),
               device.report().reason()});
  }
  invocation.console.print(table.text());
}

bool ended(fleet::RolloutState state) {
  return state == fleet::ROLLOUT_STATE_DONE || state == fleet::ROLLOUT_STATE_HALTED ||
         state == fleet::ROLLOUT_STATE_ABORTED;
}

Result<int> watch(Invocation& invocation,
                  const FleetConnection& connection,
                  const std::string& rollout) {
  fleet::GetRolloutRequest request;
  request.set_rollout_id(rollout);
  fleet::Rollout latest;
  const auto watched = connection.watch(request, [&](const fleet::Rollout& current) {
    latest = current;
    const auto& devices = latest.devices();
    const auto done = std::count_if(devices.begin(), devices.end(), [](const auto& device) {
      return device.status() == "committed";
    });
    invocation.console.progress(rollout_state(latest.state()),
                                static_cast<std::uint64_t>(done),
                                static_cast<std::uint64_t>(latest.devices_size()));
    return !ended(latest.state());
  });
  invocation.console.finish_progress();
  if (!watched) {
    return watched.error();
  }
  print_rollout(invocation, latest);
  return latest.state() == fleet::ROLLOUT_STATE_DONE ? kExitDone : kExitNo;
}

Result<int> run_start(Invocation& invocation, const StartOptions& options) {
  fleet::CreateRolloutRequest request;
  request.set_target(options.target);
  request.set_slot(options.slot);
  for (const std::string& device : options.devices) {
    request.add_device_ids(device);
  }
  request.mutable_policy()->set_canary_devices(options.canary);
  request.mutable_policy()->set_max_failures(options.max_failures);
  request.mutable_policy()->set_soak_seconds(options.soak_seconds);
  request.set_note(options.note);
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto rollout = connection->call(request);
  if (!rollout) {
    return rollout.error();
  }
  if (options.watch) {
    return watch(invocation, *connection, rollout->rollout_id());
  }
  print_rollout(invocation, *rollout);
  return kExitDone;
}

Result<int> run_rollout_list(Invocation& invocation, const FleetOnly& options) {
  const auto response = call_fleet(invocation, *options.fleet, fleet::ListRolloutsRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"rollout", "target", "slot", "state", "wave", "devices", "by", "created"}};
  for (const auto& rollout : response->rollouts()) {
    table.add({rollout.rollout_id(),
               rollout.target(),
               rollout.slot(),
               rollout_state(rollout.state()),
               fmt::format("{}/{}", rollout.wave(), rollout.waves()),
               std::to_string(rollout.devices_size()),
               rollout.created_by(),
               human_time(rollout.created_unix_ms())});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

Result<int> run_rollout_status(Invocation& invocation, const RolloutOption& options) {
  fleet::GetRolloutRequest request;
  request.set_rollout_id(options.rollout);
  const auto rollout = call_fleet(invocation, *options.fleet, request);
  if (!rollout) {
    return rollout.error();
  }
  print_rollout(invocation, *rollout);
  return kExitDone;
}

Result<int> run_watch(Invocation& invocation, const RolloutOption& options) {
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  return watch(invocation, *connection, options.rollout);
}

using Action =
    Result<fleet::Rollout> (FleetConnection::*)(const fleet::RolloutActionRequest&) const;

template <Action action>
Result<int> run_action(Invocation& invocation, const RolloutOption& options) {
  fleet::RolloutActionRequest request;
  request.set_rollout_id(options.rollout);
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto rollout = ((*connection).*action)(request);
  if (!rollout) {
    return rollout.error();
  }
  print_rollout(invocation, *rollout);
  return kExitDone;
}

void add_one(Command* parent,
             Invocation& invocation,
             const std::shared_ptr<Fleet>& fleet,
             const char* name,
             const char* text,
             Result<int> (*run)(Invocation&, const RolloutOption&)) {
  Command* command = parent->add_subcommand(name, text);
  const auto options = add_fleet_action<RolloutOption>(command, invocation, fleet, run);
  command->add_option("rollout", options->rollout, "its id")->required();
}

}  // namespace

void add_fleet_rollout(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* rollout = app.add_subcommand("rollout", "a model to many gateways, a few first");
  rollout->require_subcommand(1);
  Command* start = rollout->add_subcommand("start", "begin one");
  const auto options = add_fleet_action<StartOptions>(start, invocation, fleet, run_start);
  start->add_option("target", options->target, "models/team/name/version")->required();
  start->add_option("--slot", options->slot, "")->show_default();
  start->add_option("--device", options->devices, "only these (repeatable); default: every device");
  start->add_option("--canary", options->canary, "devices of the first wave")->show_default();
  start->add_option("--max-failures", options->max_failures, "halt at so many")->show_default();
  start->add_option("--soak-seconds", options->soak_seconds, "wait after the first wave");
  start->add_option("--note", options->note, "");
  start->add_flag("--watch", options->watch, "wait for its end; exit code 3: halted or aborted");
  add_fleet_action<FleetOnly>(
      rollout->add_subcommand("list", "all"), invocation, fleet, run_rollout_list);
  add_one(rollout, invocation, fleet, "status", "one, with its devices", run_rollout_status);
  add_one(rollout, invocation, fleet, "watch", "wait for its end; exit code 3: halted", run_watch);
  add_one(rollout,
          invocation,
          fleet,
          "pause",
          "offer it to no further device",
          run_action<&FleetConnection::pause>);
  add_one(rollout, invocation, fleet, "resume", "go on", run_action<&FleetConnection::resume>);
  add_one(rollout,
          invocation,
          fleet,
          "abort",
          "end it; devices keep what they have committed",
          run_action<&FleetConnection::abort>);
}

}  // namespace skerry::cli
