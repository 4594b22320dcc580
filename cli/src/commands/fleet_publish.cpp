// skerry fleet publish: gives the signed root and targets of a working copy to the controller.

#include <fmt/format.h>

#include "fleet.hpp"
#include "fleet_trust.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct FleetPublishOptions {
  std::shared_ptr<Fleet> fleet;
  std::string repository;
};

Result<int> run_fleet_publish(Invocation& invocation, const FleetPublishOptions& options) {
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto published = publish_working_copy(invocation, *connection, options.repository);
  if (!published) {
    return published.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*published));
  } else {
    invocation.console.line(fmt::format("published root {}, targets {}, snapshot {}, timestamp {}",
                                        published->root_version(),
                                        published->targets_version(),
                                        published->snapshot_version(),
                                        published->timestamp_version()));
  }
  return kExitDone;
}

Result<int> run_pull(Invocation& invocation, const FleetPublishOptions& options) {
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  if (auto pulled = pull_trust(invocation, *connection, options.repository); !pulled) {
    return pulled.error();
  }
  invocation.console.line("the working copy is what the controller publishes");
  return kExitDone;
}

}  // namespace

Result<void> pull_trust(Invocation& invocation,
                        const FleetConnection& connection,
                        const std::string& folder) {
  fleet::GetTrustMetadataRequest request;
  request.set_repository("image");
  auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  NamedFiles files;
  for (auto& file : *response->mutable_metadata()) {
    files.emplace_back(file.name(), std::move(*file.mutable_content()));
  }
  return adopt_published(invocation.fs, folder, files, invocation.clock.wall_now());
}

Result<fleet::PublishResponse> publish_working_copy(Invocation& invocation,
                                                    const FleetConnection& connection,
                                                    const std::string& folder) {
  const auto repository = security::tuf::Repository::open(invocation.fs, folder);
  if (!repository) {
    return repository.error();
  }
  auto files = ready_to_publish(**repository);
  if (!files) {
    return files.error();
  }
  fleet::PublishRequest request;
  request.set_repository("image");
  for (auto& [name, content] : *files) {
    auto* file = request.add_metadata();
    file->set_name(name);
    file->set_content(std::move(content));
  }
  const auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  if (auto pulled = pull_trust(invocation, connection, folder); !pulled) {
    return pulled.error().with_context("published, but the working copy could not follow");
  }
  return response;
}

void add_fleet_publish(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command =
      app.add_subcommand("publish", "give signed root and targets to the controller");
  const auto options =
      add_fleet_action<FleetPublishOptions>(command, invocation, fleet, run_fleet_publish);
  command->add_option("repository", options->repository, "folder of skerry repo")->required();
  Command* pull = app.add_subcommand("pull-trust", "verify and keep what the controller publishes");
  const auto pull_options =
      add_fleet_action<FleetPublishOptions>(pull, invocation, fleet, run_pull);
  pull->add_option("repository", pull_options->repository, "folder of skerry repo")->required();
}

}  // namespace skerry::cli
