// skerry fleet token: a single-use token with which one gateway enrols.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetTokenOptions {
  std::shared_ptr<Fleet> fleet;
  std::string site;
  std::string note;
  std::string out;
  std::uint64_t ttl_minutes = 60;
};

Result<int> run_fleet_token(Invocation& invocation, const FleetTokenOptions& options) {
  constexpr std::uint64_t kSecondsPerMinute = 60;
  fleet::CreateEnrolmentTokenRequest request;
  request.set_ttl_seconds(options.ttl_minutes * kSecondsPerMinute);
  request.set_site_id(options.site);
  request.set_note(options.note);
  const auto response = call_fleet(invocation, *options.fleet, request);
  if (!response) {
    return response.error();
  }
  if (!options.out.empty()) {
    if (auto written =
            write_file_atomic(invocation.fs, options.out, response->token() + "\n", 0600);
        !written) {
      return written.error();
    }
    invocation.console.note("token written to " + options.out);
  } else if (!invocation.json) {
    invocation.console.line(response->token());
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
  } else {
    invocation.console.note(fmt::format("works once, until {}; the controller's key pin is {}",
                                        human_time(response->expires_unix_ms()),
                                        response->controller_spki_sha256()));
  }
  return kExitDone;
}

}  // namespace

void add_fleet_token(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command =
      app.add_subcommand("token", "a single-use token with which one gateway enrols");
  const auto options =
      add_fleet_action<FleetTokenOptions>(command, invocation, fleet, run_fleet_token);
  command->add_option("--ttl-minutes", options->ttl_minutes, "")->show_default();
  command->add_option("--site", options->site, "where the gateway stands");
  command->add_option("--note", options->note, "for people: \"gateway of hall 3\"");
  command->add_option("--out", options->out, "write the token to this file (mode 0600)");
}

}  // namespace skerry::cli
