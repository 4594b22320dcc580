// skerry fleet info: the controller's version, its online keys, and what is published.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetInfoOptions {
  std::shared_ptr<Fleet> fleet;
  std::string online_key_out;
  std::string director_key_out;
};

Result<int> write_key(Invocation& invocation,
                      const std::string& path,
                      const std::string& key,
                      const std::string& what) {
  if (key.empty()) {
    return Error{Error::Code::kNotFound, "the controller names no " + what};
  }
  if (auto written = write_file_atomic(invocation.fs, path, key + "\n", 0644); !written) {
    return written.error();
  }
  invocation.console.note(what + " written to " + path);
  return kExitDone;
}

Result<int> run_fleet_info(Invocation& invocation, const FleetInfoOptions& options) {
  const auto info = call_fleet(invocation, *options.fleet, fleet::GetControllerRequest{});
  if (!info) {
    return info.error();
  }
  if (!options.online_key_out.empty()) {
    return write_key(invocation,
                     options.online_key_out,
                     info->online_keys().empty() ? std::string{} : info->online_keys(0),
                     "online key");
  }
  if (!options.director_key_out.empty()) {
    return write_key(invocation, options.director_key_out, info->director_key(), "director key");
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
  invocation.console.line(
      info->director_root_version() == 0
          ? std::string{"no director repository: devices get their desired state unsigned"}
          : fmt::format("director: root {}", info->director_root_version()));
  for (const std::string& key : info->online_keys()) {
    invocation.console.line("online key: " + key);
  }
  if (!info->director_key().empty()) {
    invocation.console.line("director key: " + info->director_key());
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
  command->add_option("--director-key-out",
                      options->director_key_out,
                      "write the director key to this file, for skerry repo init --director");
}

}  // namespace skerry::cli
