// skerry fleet audit: what operators did, from the controller's own log.

#include <fmt/format.h>

#include "fleet.hpp"

namespace skerry::cli {
namespace {

struct FleetAuditOptions {
  std::shared_ptr<Fleet> fleet;
  std::uint32_t last = 20;
};

Result<int> run_fleet_audit(Invocation& invocation, const FleetAuditOptions& options) {
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  fleet::TailControllerAuditRequest request;
  request.set_last(options.last);
  const auto done =
      connection->tail_audit(request, [&invocation](const fleet::ControllerAuditRecord& record) {
        invocation.console.line(
            invocation.json ? record.json()
                            : fmt::format("{:>8}  {}", record.seq(), printable(record.json())));
      });
  return done ? Result<int>{kExitDone} : done.error();
}

}  // namespace

void add_fleet_audit(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command = app.add_subcommand("audit", "what operators did");
  const auto options =
      add_fleet_action<FleetAuditOptions>(command, invocation, fleet, run_fleet_audit);
  command->add_option("-n,--last", options->last, "how many records")->show_default();
}

}  // namespace skerry::cli
