// skerry registry gc|scrub|rekey: removes blobs that nothing needs any more; reads the others again
// and compares them with their names; wraps the data key of an encrypted store anew. `skerry gc` is
// the first by its old name.

#include <unistd.h>

#include <sys/stat.h>

#include "skerry/registry/store_key.hpp"

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

struct RekeyOptions {
  std::string from;
  std::string to;
  bool lost = false;
  std::string state_dir = "/var/lib/skerry";
};

// On the files themselves: the daemon, which has the store open, must be stopped.
Result<int> run_rekey(Invocation& invocation, const RekeyOptions& options) {
  if (options.lost == !options.from.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "give the present key with --from, or --lost if it is lost for good"};
  }
  const auto to = security::KeyUri::parse(options.to);
  if (!to) {
    return to.error().with_context("--to");
  }
  struct stat owner {};
  if (::stat(options.state_dir.c_str(), &owner) != 0) {
    return errno_error(errno, options.state_dir);
  }
  if (owner.st_uid != ::geteuid()) {
    return Error{Error::Code::kPermissionDenied,
                 options.state_dir + " belongs to uid " + std::to_string(owner.st_uid) +
                     ", who must be able to read what this writes; run it as that user (sudo -u "
                     "skerry skerry registry rekey ...)"};
  }
  SystemFileSystem fs;
  if (options.lost) {
    if (auto done = registry::StoreKey::replace_lost(fs, options.state_dir, *to); !done) {
      return done.error();
    }
    invocation.console.line(
        "a new data key, wrapped to " + to->to_string() +
        "; the encrypted blobs are removed at the next start and fetched again");
    return kExitDone;
  }
  const auto from = security::KeyUri::parse(options.from);
  if (!from) {
    return from.error().with_context("--from");
  }
  if (auto done = registry::StoreKey::rewrap(fs, options.state_dir, *from, *to); !done) {
    return done.error();
  }
  invocation.console.line("the data key is wrapped to " + to->to_string() +
                          " now; set storage.encryption_key to it, then start skerryd");
  return kExitDone;
}

void add_rekey(Command& registry, Invocation& invocation) {
  Command* rekey = registry.add_subcommand(
      "rekey", "wrap the data key of an encrypted store to another key (skerryd must be stopped)");
  const auto options = add_action<RekeyOptions>(rekey, invocation, run_rekey);
  rekey->add_option("--to", options->to, "the new key: file:/path.pem or tpm:/path.tss")
      ->required();
  rekey->add_option("--from", options->from, "the key that it is wrapped to now");
  rekey->add_flag("--lost", options->lost, "the present key is lost: give up what it encrypted");
  rekey->add_option("--state-dir", options->state_dir, "the daemon's folder, if it is another");
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
  add_rekey(*registry, invocation);
}

}  // namespace skerry::cli
