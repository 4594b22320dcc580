// skerry fleet info: the controller's version, its online keys, and what is published.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetInfoOptions {
  std::shared_ptr<Fleet> fleet;
  std::string online_key_out;
};

Result<int> run_fleet_info(Invocation& invocation, const FleetInfoOptions& options) {
  const auto info = call_fleet(invocation, *options.fleet, fleet::GetControllerRequest{});
  if (!info) {
    return info.error();
  }
  if (!options.online_key_out.empty()) {
    if (info->online_keys().empty()) {
      return Error{Error::Code::kNotFound, "the controller names no online key"};
    }
    if (auto written = write_file_atomic(
            invocation.fs, options.online_key_out, info->online_keys(0) + "\n", 0644);
        !written) {
      return written.error();
    }
    invocation.console.note("online key written to " + options.online_key_out);
    return kExitDone;
  }
  if (invocation.json) {
    invocation.console.print(to_json(*info));
    return kExitDone;
  }
  invocation.console.line(
      fmt::format("skerry-controller {}, trust domain {}, protocol {} (from {} on)",
                  info->version(),
                  info->trust_domain(),
                  info->protocol_version(),
                  info->min_protocol_version()));
  invocation.console.line(fmt::format(
      "published: root {}, targets {}", info->image_root_version(), info->image_targets_version()));
  for (const std::string& key : info->online_keys()) {
    invocation.console.line("online key: " + key);
  }
  return kExitDone;
}

}  // namespace

void add_fleet_info(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand("info", "version, online keys, what is published");
  const auto options =
      add_fleet_action<FleetInfoOptions>(command, invocation, fleet, run_fleet_info);
  command->add_option("--online-key-out",
                      options->online_key_out,
                      "write the online key to this file, for skerry repo init");
}

}  // namespace skerry::cli
