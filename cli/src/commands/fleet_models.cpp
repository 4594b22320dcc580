// skerry fleet models: what the controller holds, staged and published.

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

Result<int> run_fleet_models(Invocation& invocation, const FleetOnly& options) {
  const auto response = call_fleet(invocation, *options.fleet, fleet::ListFleetModelsRequest{});
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table table{{"target", "state", "release", "size", "variants", "since"}};
  for (const auto& model : response->models()) {
    std::string variants;
    for (const std::string& variant : model.variants()) {
      variants += (variants.empty() ? "" : " ") + variant;
    }
    table.add({model.target(),
               model.state(),
               std::to_string(model.release_counter()),
               human_bytes(model.size_bytes()),
               variants,
               human_time(model.at_unix_ms())});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

}  // namespace

void add_fleet_models(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  add_fleet_action<FleetOnly>(
      app.add_subcommand("models", "what the controller holds, staged and published"),
      invocation,
      fleet,
      run_fleet_models);
}

}  // namespace skerry::cli
