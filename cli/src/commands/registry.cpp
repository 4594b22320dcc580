// skerry registry gc|scrub: removes blobs that nothing needs any more; reads the others again and
// compares them with their names. `skerry gc` is the first by its old name.

#include "admin.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

struct GcOptions {
  bool dry_run = false;
};

Result<int> run_gc(Invocation& invocation, const GcOptions& options) {
  admin::CollectRequest request;
  request.set_dry_run(options.dry_run);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return kExitDone;
  }
  for (const std::string& decision : response->decisions()) {
    invocation.console.line(printable(decision));
  }
  invocation.console.line((options.dry_run ? "would free " : "freed ") +
                          human_bytes(response->freed_bytes()));
  return kExitDone;
}

struct RegistryScrubOptions {
  std::uint64_t rate = 0;
  std::uint64_t older_than = 0;
};

Result<int> run_scrub(Invocation& invocation, const RegistryScrubOptions& options) {
  admin::ScrubRequest request;
  request.set_bytes_per_second(options.rate);
  request.set_older_than_seconds(options.older_than);
  const auto response = call_admin(invocation, request);
  if (!response) {
    return response.error();
  }
  bool lost = false;
  for (const auto& finding : response->findings()) {
    lost = lost || !finding.healed();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*response));
    return lost ? kExitFailed : kExitDone;
  }
  for (const auto& finding : response->findings()) {
    invocation.console.line(printable((finding.healed() ? "healed " : "quarantined ") +
                                      finding.digest() + " " + human_bytes(finding.size()) + ": " +
                                      finding.detail()));
  }
  invocation.console.line("read " + std::to_string(response->blobs()) + " blobs, " +
                          human_bytes(response->bytes()) + "; " +
                          std::to_string(response->settled()) + " for the first time as a whole, " +
                          std::to_string(response->skipped()) + " left out, " +
                          std::to_string(response->findings_size()) + " wrong");
  return lost ? kExitFailed : kExitDone;
}

void add_gc(Command& parent, Invocation& invocation) {
  Command* command = parent.add_subcommand("gc", "remove blobs that nothing needs any more");
  const auto options = add_action<GcOptions>(command, invocation, run_gc);
  command->add_flag("--dry-run", options->dry_run, "only say what would be removed and why not");
}

}  // namespace

void add_registry_command(Command& app, Invocation& invocation) {
  add_gc(app, invocation);
  Command* registry = app.add_subcommand("registry", "the models that this gateway holds");
  add_gc(*registry, invocation);
  Command* scrub = registry->add_subcommand(
      "scrub", "read every blob again, quarantine what is wrong and fetch it anew");
  const auto options = add_action<RegistryScrubOptions>(scrub, invocation, run_scrub);
  scrub->add_option("--rate", options->rate, "bytes per second; 0: as fast as the disk");
  scrub->add_option(
      "--older-than", options->older_than, "leave out what was read in the last so many seconds");
}

}  // namespace skerry::cli
