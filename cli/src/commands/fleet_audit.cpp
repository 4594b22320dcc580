// skerry fleet audit: what operators did, from the controller's own log.

#include <fmt/format.h>

#include "fleet.hpp"

namespace skerry::cli {
namespace {

struct Options {
  std::shared_ptr<Fleet> fleet;
  std::uint32_t last = 20;
};

Result<int> run(Invocation& invocation, const Options& options) {
  const auto connection = connect_fleet(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  fleet::TailControllerAuditRequest request;
  request.set_last(options.last);
  grpc::ClientContext context;
  const auto reader = connection->stub->TailAudit(&context, request);
  fleet::ControllerAuditRecord record;
  while (reader->Read(&record)) {
    invocation.console.line(invocation.json
                                ? record.json()
                                : fmt::format("{:>8}  {}", record.seq(), printable(record.json())));
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) {
    return to_error(status, connection->controller);
  }
  return kExitDone;
}

}  // namespace

void add_fleet_audit(CLI::App& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  CLI::App* command = app.add_subcommand("audit", "what operators did");
  const auto options = add_fleet_action<Options>(command, invocation, fleet, run);
  command->add_option("-n,--last", options->last, "how many records")->capture_default_str();
}

}  // namespace skerry::cli
