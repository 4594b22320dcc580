// skerry fleet publish: gives the signed root and targets of a working copy to the controller.

#include <algorithm>

#include <fmt/format.h>

#include "fleet.hpp"
#include "fleet_trust.hpp"
#include "message_json.hpp"
#include "security_documents.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMaxDocumentBytes = 4U << 20U;
constexpr std::size_t kDocumentPiece = 512U << 10U;

struct FleetPublishOptions {
  std::shared_ptr<Fleet> fleet;
  std::string repository;
  std::string name = kImageRepository;
};

Result<int> run_fleet_publish(Invocation& invocation, const FleetPublishOptions& options) {
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto published =
      publish_working_copy(invocation, *connection, options.repository, options.name);
  if (!published) {
    return published.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*published));
  } else if (options.name == kDirectorRepository) {
    invocation.console.line(fmt::format("published director root {}", published->root_version()));
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
  if (auto pulled = pull_trust(invocation, *connection, options.repository, options.name);
      !pulled) {
    return pulled.error();
  }
  invocation.console.line("the working copy is what the controller publishes");
  return kExitDone;
}

// Policies, revocations and permits: the controller serves their bytes by digest, as it does blobs.
Result<void> upload_documents(Invocation& invocation,
                              const FleetConnection& connection,
                              const std::string& folder,
                              const security::tuf::Repository& repository) {
  const auto documents = list_documents(repository);
  if (!documents) {
    return documents.error();
  }
  fleet::MissingBlobsRequest request;
  for (const DocumentBlob& document : *documents) {
    request.add_digests(document.digest.raw());
  }
  if (documents->empty()) {
    return {};
  }
  const auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  for (const DocumentBlob& document : *documents) {
    const auto& missing = response->digests();
    if (std::find(missing.begin(), missing.end(), document.digest.raw()) == missing.end()) {
      continue;
    }
    auto bytes =
        read_file(invocation.fs, document_file(folder, document.digest), kMaxDocumentBytes);
    if (!bytes) {
      return bytes.error().with_context(document.path);
    }
    fleet::PushBlobHeader header;
    header.set_digest(document.digest.raw());
    header.set_size(document.length);
    std::size_t at = 0;
    const auto next = [&bytes, &at]() -> Result<std::string> {
      std::string piece = bytes->substr(at, kDocumentPiece);
      at += piece.size();
      return piece;
    };
    if (const auto pushed = connection.push_blob(header, next); !pushed) {
      return pushed.error().with_context("uploading " + document.path);
    }
  }
  return {};
}

}  // namespace

Result<void> pull_trust(Invocation& invocation,
                        const FleetConnection& connection,
                        const std::string& folder,
                        const std::string& repository) {
  fleet::GetTrustMetadataRequest request;
  request.set_repository(repository);
  auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  NamedFiles files;
  for (auto& file : *response->mutable_metadata()) {
    files.emplace_back(file.name(), std::move(*file.mutable_content()));
  }
  const WallTime now = invocation.clock.wall_now();
  return repository == kDirectorRepository ? adopt_roots(invocation.fs, folder, files, now)
                                           : adopt_published(invocation.fs, folder, files, now);
}

Result<fleet::PublishResponse> publish_working_copy(Invocation& invocation,
                                                    const FleetConnection& connection,
                                                    const std::string& folder,
                                                    const std::string& repository) {
  const auto copy = security::tuf::Repository::open(invocation.fs, folder);
  if (!copy) {
    return copy.error();
  }
  auto files = ready_to_publish(**copy);
  if (!files) {
    return files.error();
  }
  if (repository == kImageRepository) {
    if (auto uploaded = upload_documents(invocation, connection, folder, **copy); !uploaded) {
      return uploaded.error();
    }
  }
  fleet::PublishRequest request;
  request.set_repository(repository);
  for (auto& [name, content] : *files) {
    auto* file = request.add_metadata();
    file->set_name(name);
    file->set_content(std::move(content));
  }
  auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  if (auto pulled = pull_trust(invocation, connection, folder, repository); !pulled) {
    return pulled.error().with_context("published, but the working copy could not follow");
  }
  return response;
}

void add_fleet_publish(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command =
      app.add_subcommand("publish", "give signed root and targets to the controller");
  const auto options =
      add_fleet_action<FleetPublishOptions>(command, invocation, fleet, run_fleet_publish);
  command->add_option("folder", options->repository, "folder of skerry repo")->required();
  command->add_option("--repository", options->name, "image, or director: its root")
      ->one_of({kImageRepository, kDirectorRepository})
      ->show_default();
  Command* pull = app.add_subcommand("pull-trust", "verify and keep what the controller publishes");
  const auto pull_options =
      add_fleet_action<FleetPublishOptions>(pull, invocation, fleet, run_pull);
  pull->add_option("folder", pull_options->repository, "folder of skerry repo")->required();
  pull->add_option("--repository", pull_options->name, "image, or director: its roots")
      ->one_of({kImageRepository, kDirectorRepository})
      ->show_default();
}

}  // namespace skerry::cli
