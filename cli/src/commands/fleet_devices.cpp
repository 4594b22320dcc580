// skerry fleet devices: every gateway and what it runs.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetDevicesOptions {
  std::shared_ptr<Fleet> fleet;
  std::string site;
  std::string device;
};

std::string slots_text(const fleet::Device& device) {
  std::string text;
  for (const auto& slot : device.slots()) {
    text += (text.empty() ? "" : ", ") + slot.slot() + "=" + slot.active_target() +
            (slot.variant().empty() ? "" : "@" + slot.variant()) + " " + slot.state();
  }
  return text.empty() ? "-" : text;
}

Result<int> run_fleet_devices(Invocation& invocation, const FleetDevicesOptions& options) {
  fleet::ListDevicesResponse response;
  if (options.device.empty()) {
    fleet::ListDevicesRequest request;
    request.set_site_id(options.site);
    auto devices = call_fleet(invocation, *options.fleet, request);
    if (!devices) {
      return devices.error();
    }
    response = std::move(*devices);
  } else {
    fleet::GetDeviceRequest request;
    request.set_device_id(options.device);
    auto device = call_fleet(invocation, *options.fleet, request);
    if (!device) {
      return device.error();
    }
    *response.add_devices() = std::move(*device);
  }
  if (invocation.json) {
    invocation.console.print(to_json(response));
    return kExitDone;
  }
  Table table{{"device", "site", "connected", "last seen", "slots", "note"}};
  for (const auto& device : response.devices()) {
    table.add({device.device_id(),
               device.site_id().empty() ? "-" : device.site_id(),
               device.connected() ? "yes" : "no",
               human_time(device.last_seen_unix_ms()),
               slots_text(device),
               device.note()});
  }
  invocation.console.print(table.text());
  for (const auto& device : response.devices()) {
    if (device.standing() != "active") {
      invocation.console.line(printable(fmt::format("{}: {} since {}{}{}",
                                                    device.device_id(),
                                                    device.standing(),
                                                    human_time(device.standing_unix_ms()),
                                                    device.standing_reason().empty() ? "" : ": ",
                                                    device.standing_reason())));
    }
    if (!device.clone_flag().empty()) {
      invocation.console.line(printable(device.device_id() + ": " + device.clone_flag()));
    }
    for (const auto& slot : device.slots()) {
      if (!slot.reason().empty()) {
        invocation.console.line(
            printable(fmt::format("{} {}: {}", device.device_id(), slot.slot(), slot.reason())));
      }
    }
  }
  return kExitDone;
}

}  // namespace

void add_fleet_devices(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand("devices", "every gateway and what it runs");
  const auto options =
      add_fleet_action<FleetDevicesOptions>(command, invocation, fleet, run_fleet_devices);
  command->add_option("device", options->device, "only this one");
  command->add_option("--site", options->site, "only this site's");
}

}  // namespace skerry::cli
