// skerry bundle create|inspect|import: models on a USB stick. `create` runs where the keys are,
// `import` on the gateway (through its daemon), `inspect` anywhere.

#include <algorithm>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "skerry/cli/bundle_maker.hpp"
#include "skerry/registry/bundle_verify.hpp"
#include "skerry/registry/tar_folder.hpp"
#include "skerry/security/tuf/memory_metadata_store.hpp"

#include "admin.hpp"
#include "bundle_commands.hpp"
#include "commands.hpp"
#include "message_json.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

constexpr std::chrono::milliseconds kPollBundle{500};

struct BundleCreateOptions {
  std::string out;
  std::string image;
  std::string offline;
  std::string id;
  std::vector<std::string> devices;
  std::vector<std::string> models;
  bool without_documents = false;
  std::uint64_t days = 0;
  std::vector<std::string> keys;
  std::string online_key;
};

// "slot=folder", or a folder alone for the slot "default".
Result<std::map<std::string, std::string>> models_by_slot(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> models;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const std::string slot = equals == std::string::npos ? "default" : text.substr(0, equals);
    const std::string folder = equals == std::string::npos ? text : text.substr(equals + 1);
    if (auto named = check_name(slot, "slot"); !named) {
      return named.error();
    }
    if (!models.emplace(slot, folder).second) {
      return Error{Error::Code::kInvalidArgument,
                   "slot " + slot + " is given two models; name slots: --model SLOT=FOLDER"};
    }
  }
  return models;
}

Json slots_json(const registry::BundleDirective& directive) {
  Json::Array slots;
  for (const auto& [name, slot] : directive.slots) {
    slots.emplace_back(Json::Object{
        {"slot", name}, {"target", slot.target}, {"manifest_digest", slot.manifest.to_string()}});
  }
  return Json{std::move(slots)};
}

Result<int> run_bundle_create(Invocation& invocation, const BundleCreateOptions& options) {
  auto models = models_by_slot(options.models);
  if (!models) {
    return models.error();
  }
  const WallTime now = invocation.clock.wall_now();
  BundleRequest request;
  request.out = options.out;
  request.image = options.image;
  request.offline = options.offline;
  request.id = options.id;
  request.devices = options.devices;
  request.models = *std::move(models);
  request.without_documents = options.without_documents;
  request.keys = options.keys;
  request.online_key = options.online_key;
  if (options.days > 0) {
    // To the day, so that a second run asks for the same.
    request.not_after = std::chrono::floor<std::chrono::days>(now) +
                        std::chrono::days{std::min<std::uint64_t>(options.days, 36500)};
  }
  const auto made = make_bundle(invocation.fs, now, request);
  if (!made) {
    return made.error();
  }
  for (const std::string& note : made->notes) {
    invocation.console.note(note);
  }
  const registry::BundleDirective& directive = made->directive;
  if (invocation.json) {
    Json::Array documents;
    for (const std::string& path : made->documents) {
      documents.emplace_back(path);
    }
    invocation.console.print_json(Json{Json::Object{{"bundle", directive.id},
                                                    {"sequence", directive.sequence},
                                                    {"folder", options.out},
                                                    {"documents", Json{std::move(documents)}},
                                                    {"blobs", directive.blobs.size()},
                                                    {"bytes", directive.total_bytes()},
                                                    {"shared_bytes", made->counts.shared_bytes},
                                                    {"slots", slots_json(directive)}}});
    return kExitDone;
  }
  invocation.console.line(fmt::format("bundle {} (sequence {}) in {}: {} blobs, {}",
                                      directive.id,
                                      directive.sequence,
                                      options.out,
                                      directive.blobs.size(),
                                      human_bytes(directive.total_bytes())));
  for (const std::string& path : made->documents) {
    invocation.console.line("carries " + path);
  }
  return kExitDone;
}

struct BundleInspectOptions {
  std::string folder;
  std::string image_root;
  std::string offline_root;
  bool blobs = false;
};

// The root at hand; without one the bundle's own first root, which proves only that the bundle is
// of one piece.
Result<void> start_from(FileSystem& stick,
                        FileSystem& fs,
                        tuf::MetadataStore& store,
                        const std::string& pinned,
                        std::string_view inside) {
  class NoFetcher final : public tuf::Fetcher {
    Result<std::string> fetch(std::string_view, std::size_t) override {
      return Error{Error::Code::kUnavailable, "nothing is fetched here"};
    }
  };
  const auto root = pinned.empty() ? read_file(stick,
                                               std::filesystem::path{inside} / "1.root.json",
                                               tuf::MetadataLimits::kRootBytes)
                                   : read_file(fs, pinned, tuf::MetadataLimits::kRootBytes);
  if (!root) {
    return root.error();
  }
  NoFetcher fetcher;
  tuf::Client client{store, fetcher};
  return client.bootstrap(*root);
}

Result<void> read_blobs(Invocation& invocation,
                        FileSystem& stick,
                        const registry::BundleDirective& directive) {
  const auto layout = registry::OciLayout::open(stick, "");
  if (!layout) {
    return layout.error();
  }
  const registry::CancelFlag never;
  std::uint64_t done = 0;
  for (const auto& [digest, size] : directive.blobs) {
    registry::OciDescriptor descriptor;
    descriptor.digest = digest;
    descriptor.size = size;
    if (auto same = layout->verify(descriptor, never); !same) {
      return same;
    }
    done += size;
    invocation.console.progress("reading", done, directive.total_bytes());
  }
  invocation.console.finish_progress();
  return {};
}

void print_inspected(Invocation& invocation,
                     const registry::VerifiedBundle& bundle,
                     bool pinned,
                     bool read) {
  const registry::BundleDirective& directive = bundle.directive;
  const std::string trust = pinned ? "verified from the roots that were given"
                                   : "of one piece; without --image-root and --offline-root "
                                     "nothing says who made it";
  if (invocation.json) {
    Json::Array devices;
    for (const std::string& pattern : directive.devices) {
      devices.emplace_back(pattern);
    }
    Json::Array remarks;
    for (const std::string& remark : bundle.remarks) {
      remarks.emplace_back(remark);
    }
    invocation.console.print_json(Json{Json::Object{{"bundle", directive.id},
                                                    {"sequence", directive.sequence},
                                                    {"pinned", pinned},
                                                    {"blobs_read", read},
                                                    {"blobs", directive.blobs.size()},
                                                    {"bytes", directive.total_bytes()},
                                                    {"devices", Json{std::move(devices)}},
                                                    {"offline_targets", bundle.offline_version},
                                                    {"image_targets", bundle.image_version},
                                                    {"remarks", Json{std::move(remarks)}},
                                                    {"slots", slots_json(directive)}}});
    return;
  }
  invocation.console.line(fmt::format("bundle {} (sequence {}): {} blobs, {}; {}",
                                      directive.id,
                                      directive.sequence,
                                      directive.blobs.size(),
                                      human_bytes(directive.total_bytes()),
                                      trust));
  std::string devices;
  for (const std::string& pattern : directive.devices) {
    devices += (devices.empty() ? "" : ", ") + pattern;
  }
  invocation.console.line(printable("for " + devices));
  if (directive.not_after) {
    invocation.console.line("until " + to_rfc3339(*directive.not_after));
  }
  for (const auto& [name, slot] : directive.slots) {
    invocation.console.line(
        fmt::format("slot {}: {} {}", name, slot.target, slot.manifest.to_string()));
  }
  invocation.console.line(fmt::format("signed by offline targets {}, image targets {}",
                                      bundle.offline_version,
                                      bundle.image_version));
  for (const std::string& remark : bundle.remarks) {
    invocation.console.line(printable("remark: " + remark));
  }
  if (read) {
    invocation.console.line("every blob was read and is what its name says");
  }
}

Result<int> run_bundle_inspect(Invocation& invocation, const BundleInspectOptions& options) {
  const auto stick = registry::open_folder_or_tar(options.folder);
  if (!stick) {
    return stick.error();
  }
  tuf::MemoryMetadataStore offline;
  tuf::MemoryMetadataStore image;
  if (auto started = start_from(
          **stick, invocation.fs, offline, options.offline_root, registry::kBundleOfflineMetadata);
      !started) {
    return started.error().with_context("offline root");
  }
  if (auto started = start_from(
          **stick, invocation.fs, image, options.image_root, registry::kBundleImageMetadata);
      !started) {
    return started.error().with_context("image root");
  }
  const registry::BundleTrust trust{
      offline, image, {invocation.clock.wall_now(), security::TimeQuality::kUnattested}, {}, 0};
  const auto bundle = registry::verify_bundle(**stick, "", trust);
  if (!bundle) {
    return bundle.error();
  }
  if (options.blobs) {
    if (auto read = read_blobs(invocation, **stick, bundle->directive); !read) {
      return read.error();
    }
  }
  const bool pinned = !options.image_root.empty() && !options.offline_root.empty();
  print_inspected(invocation, *bundle, pinned, options.blobs);
  return kExitDone;
}

struct BundleImportOptions {
  std::string folder;
  bool check = false;
  bool no_wait = false;
};

bool rests(const std::string& state) {
  return state == "COMMITTED" || state == "REJECTED" || state == "QUARANTINED" ||
         state == "ROLLED_BACK" || state == "SAFE" || state == "IDLE";
}

struct BundleProgress {
  bool over = true;
  bool well = true;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
};

BundleProgress look(const admin::ImportBundleResponse& taken, const admin::ListSlotsResponse& now) {
  BundleProgress progress;
  for (const auto& wanted : taken.slots()) {
    const auto slot = std::find_if(now.slots().begin(), now.slots().end(), [&](const auto& one) {
      return one.slot() == wanted.slot();
    });
    if (slot == now.slots().end() || slot->desired_generation() < wanted.generation()) {
      progress.over = false;
      continue;
    }
    // On trial it serves already; the trial goes on without the stick.
    const bool serves = (slot->state() == "PROBATION" || slot->state() == "COMMITTED") &&
                        slot->active().manifest_digest() == wanted.manifest_digest();
    const bool superseded = slot->desired_generation() > wanted.generation();
    const bool refused = slot->state() != "COMMITTED" && rests(slot->state());
    progress.over = progress.over && (serves || superseded || refused);
    progress.well = progress.well && serves;
    progress.done += slot->fetched_bytes() + slot->reused_bytes();
    progress.total += slot->total_bytes();
  }
  return progress;
}

// Until every slot of the bundle serves it, or refused it.
Result<admin::ListSlotsResponse> follow(Invocation& invocation,
                                        const admin::ImportBundleResponse& taken,
                                        bool& well) {
  for (;;) {
    auto slots = call_admin(invocation, admin::ListSlotsRequest{});
    if (!slots) {
      return slots;
    }
    const BundleProgress progress = look(taken, *slots);
    if (progress.over) {
      invocation.console.finish_progress();
      well = progress.well;
      return slots;
    }
    if (progress.total > 0) {
      invocation.console.progress(
          "copying", std::min(progress.done, progress.total), progress.total);
    }
    std::this_thread::sleep_for(kPollBundle);
  }
}

Json import_json(const admin::ImportBundleResponse& taken, const admin::ListSlotsResponse& now) {
  Json::Array slots;
  for (const auto& wanted : taken.slots()) {
    Json::Object entry{{"slot", wanted.slot()},
                       {"target", wanted.target()},
                       {"manifest_digest", wanted.manifest_digest()},
                       {"generation", wanted.generation()},
                       {"offered_before", wanted.offered_before()}};
    for (const auto& slot : now.slots()) {
      if (slot.slot() == wanted.slot()) {
        entry.emplace("state", slot.state());
        entry.emplace("reason", slot.reason());
        entry.emplace("fetched_bytes", slot.fetched_bytes());
        entry.emplace("reused_bytes", slot.reused_bytes());
      }
    }
    slots.emplace_back(std::move(entry));
  }
  Json::Array remarks;
  for (const std::string& remark : taken.remarks()) {
    remarks.emplace_back(remark);
  }
  return Json{Json::Object{{"bundle", taken.id()},
                           {"sequence", taken.sequence()},
                           {"bytes", taken.bytes()},
                           {"slots", Json{std::move(slots)}},
                           {"remarks", Json{std::move(remarks)}}}};
}

Result<int> run_bundle_import(Invocation& invocation, const BundleImportOptions& options) {
  admin::ImportBundleRequest request;
  request.set_folder(std::filesystem::absolute(options.folder).lexically_normal().string());
  request.set_check_only(options.check);
  const auto taken = call_admin(invocation, request);
  if (!taken) {
    return taken.error();
  }
  bool well = true;
  admin::ListSlotsResponse slots;
  if (!options.check && !options.no_wait) {
    auto followed = follow(invocation, *taken, well);
    if (!followed) {
      return followed.error();
    }
    slots = *std::move(followed);
  }
  if (invocation.json) {
    invocation.console.print_json(import_json(*taken, slots));
    return well ? kExitDone : kExitFailed;
  }
  invocation.console.line(printable(fmt::format("bundle {} (sequence {}) {}",
                                                taken->id(),
                                                taken->sequence(),
                                                options.check ? "may be taken here" : "taken")));
  for (const std::string& remark : taken->remarks()) {
    invocation.console.line(printable("remark: " + remark));
  }
  for (const auto& wanted : taken->slots()) {
    std::string text = "slot " + wanted.slot() + ": " + wanted.target();
    for (const auto& slot : slots.slots()) {
      if (slot.slot() == wanted.slot()) {
        text += " " + slot.state() + (slot.reason().empty() ? "" : ": " + slot.reason()) + " (" +
                human_bytes(slot.fetched_bytes()) + " copied, " + human_bytes(slot.reused_bytes()) +
                " were here)";
      }
    }
    invocation.console.line(printable(text));
  }
  return well ? kExitDone : kExitFailed;
}

void add_bundle_create(Command& bundle, Invocation& invocation) {
  Command* create = bundle.add_subcommand(
      "create", "put packed models and what signs them in one folder; run it again after signing");
  const auto options = add_action<BundleCreateOptions>(create, invocation, run_bundle_create);
  create->add_option("out", options->out, "folder to make, on the stick or elsewhere")->required();
  create->add_option("--image", options->image, "working copy of the image repository")->required();
  create->add_option("--offline", options->offline, "the offline repository")->required();
  create->add_option("--id", options->id, "its name, as plant-a.7")->required();
  create
      ->add_option("--device", options->devices, "name or pattern of devices, as gw-* (repeatable)")
      ->required();
  create->add_option(
      "--model", options->models, "folder of a packed model, or SLOT=FOLDER (repeatable)");
  create->add_flag("--without-documents",
                   options->without_documents,
                   "leave out the policies, revocations and permits of the image repository");
  create->add_option("--days", options->days, "how long it may be imported; default: no end");
  create->add_option("--signing-key", options->keys, "key of the offline repository (repeatable)");
  create->add_option("--online-key",
                     options->online_key,
                     "the offline repository's key for snapshot and timestamp");
}

}  // namespace

void add_bundle_command(Command& app, Invocation& invocation) {
  Command* bundle = app.add_subcommand("bundle", "models and their signatures on a USB stick");
  bundle->require_subcommand();
  add_bundle_create(*bundle, invocation);
  Command* inspect =
      bundle->add_subcommand("inspect", "say what a bundle directs and whether it is of one piece");
  const auto inspect_options =
      add_action<BundleInspectOptions>(inspect, invocation, run_bundle_inspect);
  inspect->add_option("folder", inspect_options->folder, "")->required();
  inspect->add_option("--image-root", inspect_options->image_root, "root to verify from");
  inspect->add_option("--offline-root", inspect_options->offline_root, "root to verify from");
  inspect->add_flag("--blobs", inspect_options->blobs, "also read every blob");
  Command* import = bundle->add_subcommand(
      "import", "install what a bundle directs on this gateway, and wait until it serves");
  const auto import_options =
      add_action<BundleImportOptions>(import, invocation, run_bundle_import);
  import->add_option("folder", import_options->folder, "the mounted bundle, a folder or a tar file")
      ->required();
  import->add_flag("--check", import_options->check, "only verify it on this gateway");
  add_bundle_report(*bundle, invocation);
  import->add_flag("--no-wait", import_options->no_wait, "do not wait for the slots");
}

}  // namespace skerry::cli
