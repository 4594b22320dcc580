// skerry fleet telemetry: what the gateways reported, and how completely it arrived.

#include <fmt/format.h>

#include "fleet.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetTelemetryOptions {
  std::shared_ptr<Fleet> fleet;
  std::string device;
  std::string series;
  std::uint32_t limit = 100;
};

Result<int> run_fleet_telemetry(Invocation& invocation, const FleetTelemetryOptions& options) {
  fleet::QueryTelemetryRequest request;
  request.set_device_id(options.device);
  request.set_series(options.series);
  request.set_limit(options.limit);
  const auto response = call_fleet(invocation, *options.fleet, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  Table streams{{"device", "stream", "records", "highest seq", "gaps", "duplicates ignored"}};
  for (const auto& stream : response->streams()) {
    streams.add({stream.device_id(),
                 stream.stream(),
                 std::to_string(stream.records()),
                 std::to_string(stream.highest_seq()),
                 std::to_string(stream.gap_records()),
                 std::to_string(stream.duplicates_ignored())});
  }
  invocation.console.print(streams.text());
  invocation.console.line("");
  Table table{{"device", "series", "labels", "points", "last value", "last at"}};
  for (const auto& result : response->results()) {
    std::string labels;
    for (const auto& [name, value] : result.labels()) {
      labels += (labels.empty() ? "" : ",") + name + "=" + value;
    }
    const bool any = result.points_size() > 0;
    table.add({result.device_id(),
               result.series(),
               labels,
               std::to_string(result.points_size()),
               any ? fmt::format("{:g}", result.points().rbegin()->value()) : "-",
               any ? human_time(result.points().rbegin()->at_unix_ms()) : "-"});
  }
  invocation.console.print(table.text());
  return kExitDone;
}

}  // namespace

void add_fleet_telemetry(Command& app,
                         Invocation& invocation,
                         const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand("telemetry", "what the gateways reported");
  const auto options =
      add_fleet_action<FleetTelemetryOptions>(command, invocation, fleet, run_fleet_telemetry);
  command->add_option("--device", options->device, "only this one's");
  command->add_option("--series", options->series, "one series; default: their names");
  command->add_option("--limit", options->limit, "points per series")->show_default();
}

}  // namespace skerry::cli
