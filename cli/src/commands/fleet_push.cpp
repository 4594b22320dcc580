// skerry fleet push FOLDER: uploads what the controller lacks and stages the manifest; with --sign
// also makes it a target, signs with the keys at hand and publishes.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "skerry/cli/model_target.hpp"
#include "skerry/cli/pinned_prompts.hpp"
#include "skerry/registry/chunk_index.hpp"

#include "fleet.hpp"
#include "fleet_trust.hpp"

namespace skerry::cli {
namespace {

constexpr std::size_t kMessageBytes = 512U << 10U;

struct FleetPushOptions {
  std::shared_ptr<Fleet> fleet;
  std::string folder;
  bool sign = false;
  std::vector<std::string> keys;
  std::string repository;
  std::string role = "targets";
  std::string not_after;
  std::vector<std::string> prompts;
};

struct Blob {
  Digest digest;
  std::uint64_t size = 0;
};

// Files and chunk indexes, each once.
std::vector<Blob> blobs_of(const registry::Manifest& manifest) {
  std::vector<Blob> blobs;
  std::set<Digest> seen;
  for (const auto& file : manifest.all_files()) {
    const std::uint64_t index = registry::chunk_count(file.size, file.chunk_size) * Digest::kSize;
    for (const Blob& blob : {Blob{file.digest, file.size}, Blob{file.chunks, index}}) {
      if (seen.insert(blob.digest).second) {
        blobs.push_back(blob);
      }
    }
  }
  return blobs;
}

struct Progress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

Result<void> upload(Invocation& invocation,
                    const FleetConnection& connection,
                    const std::filesystem::path& folder,
                    const Blob& blob,
                    Progress& progress) {
  auto file = invocation.fs.open(folder / "blobs" / "sha256" / blob.digest.hex(), OpenMode::kRead);
  if (!file) {
    return file.error().with_context("the packed model is incomplete, pack it again");
  }
  fleet::PushBlobHeader header;
  header.set_digest(blob.digest.raw());
  header.set_size(blob.size);
  std::uint64_t at = 0;
  const auto next = [&]() -> Result<std::string> {
    std::string piece(std::min<std::uint64_t>(kMessageBytes, blob.size - at), '\0');
    const auto read =
        (*file)->read_at(at, {reinterpret_cast<std::uint8_t*>(piece.data()), piece.size()});
    if (!read) {
      return read.error();
    }
    if (*read != piece.size()) {
      return Error{Error::Code::kSizeMismatch, blob.digest.to_string() + " is too short"};
    }
    at += piece.size();
    progress.done += piece.size();
    invocation.console.progress("uploading", progress.done, progress.total);
    return piece;
  };
  const auto pushed = connection.push_blob(header, next);
  return pushed ? Result<void>{}
                : pushed.error().with_context("uploading " + blob.digest.to_string());
}

Result<Progress> upload_missing(Invocation& invocation,
                                const FleetConnection& connection,
                                const FleetPushOptions& options,
                                const registry::Manifest& manifest) {
  const std::vector<Blob> blobs = blobs_of(manifest);
  fleet::MissingBlobsRequest request;
  for (const Blob& blob : blobs) {
    request.add_digests(blob.digest.raw());
  }
  const auto response = connection.call(request);
  if (!response) {
    return response.error();
  }
  const std::set<std::string> missing(response->digests().begin(), response->digests().end());
  Progress progress;
  for (const Blob& blob : blobs) {
    progress.total += missing.contains(blob.digest.raw()) ? blob.size : 0;
  }
  for (const Blob& blob : blobs) {
    if (!missing.contains(blob.digest.raw())) {
      continue;
    }
    if (auto uploaded = upload(invocation, connection, options.folder, blob, progress); !uploaded) {
      return uploaded.error();
    }
  }
  invocation.console.finish_progress();
  return progress;
}

Result<void> sign_and_publish(Invocation& invocation,
                              const FleetConnection& connection,
                              const FleetPushOptions& options,
                              const ModelTarget& target) {
  if (auto pulled = pull_trust(invocation, connection, options.repository); !pulled) {
    return pulled;
  }
  const auto repository = security::tuf::Repository::open(invocation.fs, options.repository);
  if (!repository) {
    return repository.error();
  }
  const security::tuf::RoleName role{options.role};
  if (auto added =
          (*repository)
              ->add_target(target.path, target.file, {}, invocation.clock.wall_now(), role);
      !added) {
    return added;
  }
  const auto staged = (*repository)->staged_roles();
  if (!staged) {
    return staged.error();
  }
  const auto signatures = sign_staged(invocation.fs, **repository, *staged, options.keys);
  if (!signatures) {
    return signatures.error();
  }
  for (const std::string& line : *signatures) {
    invocation.console.note(line);
  }
  const auto published = publish_working_copy(invocation, connection, options.repository);
  if (!published) {
    return published.error();
  }
  invocation.console.note(fmt::format(
      "published root {}, targets {}", published->root_version(), published->targets_version()));
  return {};
}

Result<int> run_fleet_push(Invocation& invocation, const FleetPushOptions& options) {
  if (options.sign && (options.repository.empty() || options.keys.empty())) {
    return Error{Error::Code::kInvalidArgument,
                 "--sign also needs --repo (the working copy) and at least one --signing-key"};
  }
  if (!options.sign && !options.not_after.empty()) {
    return Error{Error::Code::kInvalidArgument, "--not-after is signed: it needs --sign"};
  }
  if (auto pinned = pin_prompts(invocation.fs, options.folder, options.prompts); !pinned) {
    return pinned.error();
  }
  auto target = load_model_target(invocation.fs, options.folder);
  if (!target) {
    return target.error();
  }
  if (auto ends = set_not_after(*target, options.not_after); !ends) {
    return ends.error();
  }
  const auto connection = FleetConnection::open(invocation, *options.fleet);
  if (!connection) {
    return connection.error();
  }
  const auto uploaded = upload_missing(invocation, *connection, options, target->manifest);
  if (!uploaded) {
    return uploaded.error();
  }
  fleet::StageManifestRequest request;
  request.set_manifest(target->bytes);
  const auto staged = connection->call(request);
  if (!staged) {
    return staged.error();
  }
  if (options.sign) {
    if (auto published = sign_and_publish(invocation, *connection, options, *target); !published) {
      return published.error();
    }
  }
  if (invocation.json) {
    invocation.console.print_json(Json{Json::Object{{"target", staged->target()},
                                                    {"manifest_digest", staged->manifest_digest()},
                                                    {"uploaded_bytes", uploaded->total},
                                                    {"published", options.sign}}});
  } else {
    invocation.console.line(fmt::format("{} {} ({} uploaded)",
                                        options.sign ? "published" : "staged",
                                        staged->target(),
                                        human_bytes(uploaded->total)));
  }
  return kExitDone;
}

}  // namespace

void add_fleet_push(Command& app, Invocation& invocation, const std::shared_ptr<Fleet>& fleet) {
  Command* command =
      app.add_subcommand("push", "upload a packed model; with --sign also sign and publish it");
  const auto options =
      add_fleet_action<FleetPushOptions>(command, invocation, fleet, run_fleet_push);
  command->add_option("folder", options->folder, "made by skerry model pack")->required();
  command->add_flag("--sign", options->sign, "make it a target, sign it and publish");
  command->add_option("--signing-key", options->keys, "offline key, path or URI (repeatable)");
  command->add_option("--role", options->role, "whose list: a delegated role's, as acme")
      ->show_default();
  command->add_option("--pin-prompt", options->prompts, std::string{kPinPromptHelp});
  command->add_option("--repo", options->repository, "the working copy made by skerry repo init");
  command->add_option("--not-after",
                      options->not_after,
                      "with --sign: no device installs it after this date (UTC)");
}

}  // namespace skerry::cli
