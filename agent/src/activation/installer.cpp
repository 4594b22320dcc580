#include "skerry/agent/installer.hpp"

#include <thread>
#include <utility>

#include "skerry/registry/gc.hpp"
#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/metadata_store.hpp"
#include "skerry/registry/onnx_check.hpp"
#include "skerry/registry/upstream_spec.hpp"

#include "delta_fetch.hpp"
#include "derive_fetch.hpp"

namespace skerry::agent {
namespace {

constexpr std::uint64_t kMaxGolden = 64ULL << 20U;

// Collects a small blob in memory.
class MemorySink final : public registry::ByteSink {
 public:
  explicit MemorySink(std::uint64_t limit) : limit_(limit) {}
  Result<void> write(ByteView bytes) override {
    if (text_.size() + bytes.size() > limit_) {
      return Error{Error::Code::kTooLarge, "more bytes than the signed length"};
    }
    text_.append(as_text(bytes));
    return {};
  }
  [[nodiscard]] std::string& text() { return text_; }

 private:
  std::uint64_t limit_;
  std::string text_;
};

registry::RuntimeProfile profile_of(const std::string& plugin) {
  registry::RuntimeProfile profile;
  profile.plugin = plugin;
  // The engine's own version is known once it runs; the gate proves what the choice assumes.
  if (Result<registry::SemanticVersion> any = registry::SemanticVersion::parse("999999.0.0"); any) {
    profile.engine_version = *any;
  }
  if (plugin == "llamacpp") {
    profile.formats = {"gguf"};
  } else if (plugin == "onnx" || plugin == registry::upstream::kPlugin) {
    profile.formats = {plugin};
  } else {
    profile.formats = {plugin, "gguf", "onnx", "raw"};
  }
  profile.accelerators = {"cpu"};
  return profile;
}

// What an engine, or the reader of an upstream's description, must not be the first to find.
Result<void> check_weights(registry::BlobStore& store,
                           const registry::ManifestFile& file,
                           File& opened,
                           std::string_view format,
                           const registry::OnnxLimits& onnx) {
  if (format == "gguf") {
    const Result<registry::GgufSummary> checked = registry::check_gguf(opened);
    return checked ? Result<void>{} : checked.error();
  }
  if (format == "onnx") {
    const Result<registry::OnnxSummary> checked = registry::check_onnx(opened, onnx);
    return checked ? Result<void>{} : checked.error();
  }
  if (format == registry::upstream::kPlugin) {
    const Result<Bytes> text = store.read(file.digest, registry::upstream::Spec::kBytes);
    if (!text) {
      return text.error();
    }
    const Result<registry::upstream::Spec> spec = registry::upstream::parse_spec(as_text(*text));
    return spec ? Result<void>{} : spec.error();
  }
  return {};
}

}  // namespace

Installer::Installer(Core& core,
                     registry::Catalogue& catalogue,
                     registry::BlobStore& store,
                     DeviceTime& time,
                     std::uint64_t memory)
    : core_(core),
      catalogue_(catalogue),
      store_(store),
      time_(time),
      memory_(memory),
      director_(catalogue, time),
      metadata_(registry::make_metadata_store(catalogue, "image")) {}

Result<std::string> Installer::fetch_manifest(ModelSource& source,
                                              const Digest& digest,
                                              std::uint64_t length,
                                              const registry::CancelFlag& cancel) {
  Result<bool> held = store_.contains(digest);
  if (held && *held) {
    Result<Bytes> bytes = store_.read(digest, registry::ManifestLimits::kBytes);
    if (bytes) {
      return std::string{as_text(*bytes)};
    }
  }
  MemorySink sink{std::min<std::uint64_t>(length, registry::ManifestLimits::kBytes)};
  const registry::BlobRange range{digest, 0, length};
  if (Result<void> read = source.blobs().read(range, sink, cancel); !read) {
    return read.error();
  }
  if (Digest::of(sink.text()) != digest) {
    return Error{Error::Code::kDigestMismatch,
                 source.name() + " served other bytes than " + digest.to_string()};
  }
  if (Result<Digest> stored = store_.put(as_bytes(sink.text())); !stored) {
    return stored.error();
  }
  return std::move(sink.text());
}

Result<Preflight> Installer::preflight(const activation::Offer& offer,
                                       const std::string& slot,
                                       const std::vector<std::string>& failed,
                                       ModelSource& source,
                                       const registry::CancelFlag& cancel) {
  if (!offer.bundle.empty()) {
    return preflight_bundle(offer, slot, failed);
  }
  Result<security::tuf::FoundTarget> found = find_target(offer.target, source);
  if (!found) {
    return found.error();
  }
  const security::tuf::TargetFile* target = &found->file;
  Result<Digest> digest = target->sha256();
  if (!digest) {
    return digest.error();
  }
  if (!offer.manifest_digest.empty() && offer.manifest_digest != digest->to_string()) {
    return Error{Error::Code::kMetadataMismatch,
                 "the offer names manifest " + offer.manifest_digest +
                     ", the image repository signed " + digest->to_string()};
  }
  if (Result<void> agreed = check_directed(offer, slot, *target); !agreed) {
    return agreed.error();
  }
  Result<std::string> bytes = fetch_manifest(source, *digest, target->length, cancel);
  if (!bytes) {
    return bytes.error().with_context("manifest");
  }
  if (Result<void> checked = target->check(*bytes); !checked) {
    return checked.error();
  }
  if (Result<void> recorded =
          catalogue_.record_manifest(*bytes,
                                     *digest,
                                     "image",
                                     static_cast<std::uint64_t>(found->role_version),
                                     target->not_after());
      !recorded) {
    return recorded.error();
  }
  Result<registry::VerifiedManifest> manifest = catalogue_.manifest(*digest);
  if (!manifest) {
    return manifest.error();
  }
  if (manifest->manifest.target_path() != offer.target) {
    return Error{
        Error::Code::kMetadataMismatch,
        "the manifest is that of " + manifest->manifest.target_path() + ", not of " + offer.target};
  }
  return ask_leave(*std::move(manifest), offer, slot, failed);
}

Result<Preflight> Installer::preflight_bundle(const activation::Offer& offer,
                                              const std::string& slot,
                                              const std::vector<std::string>& failed) {
  Result<Digest> digest = Digest::parse(offer.manifest_digest);
  if (!digest) {
    return digest.error();
  }
  Result<registry::VerifiedManifest> manifest = catalogue_.manifest(*digest);
  if (!manifest) {
    return manifest.error();
  }
  if (manifest->target_path != offer.target) {
    return Error{Error::Code::kMetadataMismatch,
                 "the manifest is that of " + manifest->target_path + ", not of " + offer.target};
  }
  return ask_leave(*std::move(manifest), offer, slot, failed);
}

Result<Preflight> Installer::ask_leave(registry::VerifiedManifest manifest,
                                       const activation::Offer& offer,
                                       const std::string& slot,
                                       const std::vector<std::string>& failed) {
  if (security_ != nullptr) {
    // Before anything is fetched; asked again, with the variant, when it is activated.
    Result<SecurityTargets::Leave> leave =
        security_->may_activate(manifest, "", SecurityTargets::use_of(slot, offer.generation));
    if (!leave) {
      return leave.error();
    }
    for (const std::string& warning : leave->warnings) {
      core_.log.warning("model.leave", {{"target", offer.target}, {"warning", warning}});
    }
  }
  return choose(
      std::make_shared<const registry::VerifiedManifest>(std::move(manifest)), slot, failed);
}

Result<std::optional<std::string>> Installer::why_barred(const registry::VerifiedManifest& manifest,
                                                         const std::string& variant) {
  Result<std::optional<std::string>> bad = catalogue_.bad_reason(manifest.digest, variant);
  if (!bad || *bad || security_ == nullptr) {
    return bad;
  }
  if (Result<void> allowed = security_->may_return(manifest, variant); !allowed) {
    return std::optional{allowed.error().message()};
  }
  return std::optional<std::string>{};
}

Result<Preflight> Installer::choose(std::shared_ptr<const registry::VerifiedManifest> manifest,
                                    const std::string& slot,
                                    const std::vector<std::string>& failed) {
  Result<std::optional<std::string>> all_bad = catalogue_.bad_reason(manifest->digest, "");
  if (!all_bad) {
    return all_bad.error();
  }
  if (*all_bad) {
    return Error{Error::Code::kQuarantined, "known bad on this machine: " + **all_bad};
  }
  registry::VariantContext context;
  context.known_bad.insert(failed.begin(), failed.end());
  std::string bad_ones;
  for (const registry::Variant& variant : manifest->manifest.variants) {
    Result<std::optional<std::string>> barred = why_barred(*manifest, variant.name);
    if (!barred) {
      return barred.error();
    }
    if (*barred) {
      context.known_bad.insert(variant.name);
      bad_ones += (bad_ones.empty() ? "" : "; ") + variant.name + ": " + **barred;
    }
    for (const registry::ManifestFile& file : manifest->manifest.files_for(variant)) {
      if (store_.holds(registry::WantedBlob::from(file)).value_or(false)) {
        context.held.insert(file.digest);
      }
    }
  }
  Result<registry::DeviceProfile> device = profile();
  if (!device) {
    return device.error();
  }
  const ActivationConfig& config = core_.settings->activation();
  registry::VariantPolicy policy;
  policy.disk_reserve = config.disk_reserve.bytes;
  if (Result<registry::VariantGoal> goal = registry::parse_variant_goal(config.goal); goal) {
    policy.goal = *goal;
  }
  const registry::VariantChoice choice =
      registry::choose_variant(manifest->manifest, *device, policy, context);
  Preflight result;
  for (const registry::VariantVerdict& verdict : choice.verdicts) {
    result.reasons.push_back(verdict.variant + ": " + std::string{to_string(verdict.reason)} +
                             (verdict.text.empty() ? "" : " (" + verdict.text + ")"));
  }
  Result<const registry::Variant*> variant = registry::require_variant(manifest->manifest, choice);
  if (!variant && !bad_ones.empty() && failed.empty()) {
    return Error{Error::Code::kQuarantined,
                 "known bad on this machine: " + bad_ones + " (" + variant.error().message() + ")"};
  }
  if (!variant) {
    return variant.error();
  }
  result.variant = (*variant)->name;
  if (Result<registry::Slot> current = catalogue_.slot(SlotName{slot}); current) {
    result.already_active = current->active && !current->on_trial &&
                            current->active->manifest == manifest->digest &&
                            current->active->variant == result.variant;
  }
  result.manifest = std::move(manifest);
  return result;
}

Result<registry::FetchProgress> Installer::fetch(const registry::VerifiedManifest& manifest,
                                                 const std::string& variant,
                                                 const std::set<Digest>& leased,
                                                 ModelSource& source,
                                                 const registry::CancelFlag& cancel,
                                                 const registry::Fetcher::OnProgress& on_progress) {
  const registry::Variant* chosen = manifest.manifest.find_variant(variant);
  if (chosen == nullptr) {
    return Error{Error::Code::kManifestInvalid, "no variant \"" + variant + "\""};
  }
  std::vector<registry::WantedBlob> wanted;
  for (const registry::ManifestFile& file : manifest.manifest.files_for(*chosen)) {
    wanted.push_back(registry::WantedBlob::from(file));
  }
  registry::GcGoal room;
  room.high = core_.settings->storage().high_water.bytes;
  room.low = core_.settings->storage().low_water.bytes;
  if (room.high != 0) {
    registry::Fetcher nothing{store_, {}, core_.clock, [](auto) {}, core_.log};
    Result<std::uint64_t> missing = nothing.bytes_missing(wanted);
    if (!missing) {
      return missing.error();
    }
    room.incoming = *missing;
    // What a worker has open would go on taking its place on the disk: removing it makes no room.
    if (Result<registry::GcReport> made = registry::make_room(catalogue_, store_, leased, room);
        !made) {
      return made.error();
    }
  }
  OpenedSources from{sources_, &source.blobs()};
  registry::FetchOptions options;
  if (sources_ != nullptr) {
    options = sources_->options();
  }
  registry::Fetcher fetcher{store_,
                            from.all,
                            core_.clock,
                            [&cancel](std::chrono::nanoseconds wait) {
                              // A transfer thread: it may sleep, in steps that notice a cancel.
                              constexpr std::chrono::nanoseconds kStep =
                                  std::chrono::milliseconds{50};
                              while (wait.count() > 0 && !cancel.cancelled()) {
                                const auto step = std::min(wait, kStep);
                                std::this_thread::sleep_for(step);
                                wait -= step;
                              }
                            },
                            core_.log,
                            options};
  const auto measured = [&](std::span<const registry::WantedBlob> blobs,
                            const registry::Fetcher::OnProgress& report) {
    const BootTime begin = core_.clock.boot_now();
    Result<registry::FetchProgress> done = fetcher.fetch(blobs, cancel, report);
    if (done) {
      rates_.add_link(done->fetched_bytes, core_.clock.boot_now() - begin);
    }
    return done;
  };
  if (quantizer_ && core_.settings->sync().derive) {
    DeriveFetch{core_, store_, *quantizer_, cancel}.run(manifest.manifest, *chosen);
  }
  const std::uint64_t by_delta = DeltaFetch{core_, catalogue_, store_, rates_, source, cancel}.run(
      manifest.manifest, *chosen, wanted, measured, on_progress);
  Result<registry::FetchProgress> done = measured(wanted, on_progress);
  if (done) {
    done->fetched_bytes += by_delta;
    done->link_bytes += by_delta;
  }
  return done;
}

Result<void> Installer::admit(const registry::VerifiedManifest& manifest,
                              const std::string& variant) {
  const registry::Variant* chosen = manifest.manifest.find_variant(variant);
  if (chosen == nullptr) {
    return Error{Error::Code::kManifestInvalid, "no variant \"" + variant + "\""};
  }
  registry::OnnxLimits onnx;
  bool first = true;
  for (const registry::ManifestFile& file : chosen->files) {
    if (file.role == registry::FileRole::kWeights && !std::exchange(first, false)) {
      onnx.external_files.emplace(file.name, file.size);
    }
  }
  first = true;
  for (const registry::ManifestFile& file : chosen->files) {
    if (file.role != registry::FileRole::kWeights || !std::exchange(first, false)) {
      continue;
    }
    Result<registry::OpenBlob> blob = store_.open_verified(registry::WantedBlob::from(file));
    if (!blob) {
      return blob.error().with_context(file.name);
    }
    if (Result<void> checked = check_weights(store_, file, *blob->file, chosen->format, onnx);
        !checked) {
      return checked.error().with_context(file.name);
    }
  }
  return {};
}

Result<Installer::Golden> Installer::golden(const registry::VerifiedManifest& manifest,
                                            const std::string& variant) {
  const registry::Variant* chosen = manifest.manifest.find_variant(variant);
  if (chosen == nullptr) {
    return Error{Error::Code::kManifestInvalid, "no variant \"" + variant + "\""};
  }
  Golden golden;
  const registry::ManifestFile* main = manifest.manifest.golden_for(*chosen);
  if (main == nullptr) {
    return golden;
  }
  const auto read = [this](const registry::ManifestFile& file) -> Result<std::string> {
    Result<Bytes> bytes = store_.read(file.digest, kMaxGolden);
    if (!bytes) {
      return bytes.error().with_context(file.name);
    }
    return std::string{as_text(*bytes)};
  };
  Result<std::string> text = read(*main);
  if (!text) {
    return text.error();
  }
  golden.text = *std::move(text);
  // A tensor set keeps its samples in a second golden file.
  for (const registry::ManifestFile& file : manifest.manifest.files_for(*chosen)) {
    if (file.role == registry::FileRole::kGolden && file.digest != main->digest) {
      Result<std::string> data = read(file);
      if (!data) {
        return data.error();
      }
      golden.data = *std::move(data);
      break;
    }
  }
  return golden;
}

Result<registry::DeviceProfile> Installer::profile() {
  Result<registry::DeviceProfile> device =
      registry::detect_hardware(core_.fs, core_.settings->state_dir());
  if (!device) {
    return device;
  }
  device->memory_available = memory_;
  device->encrypts = core_.settings->storage().encrypts();
  if (!core_.settings->upstream().endpoints.empty()) {
    device->runtimes.push_back(profile_of(std::string{registry::upstream::kPlugin}));
  }
  Result<std::vector<std::string>> plugins = core_.fs.list(core_.settings->plugin_dir());
  if (plugins) {
    for (const std::string& file : *plugins) {
      if (file.starts_with("skerry-") && file.ends_with(".so")) {
        device->runtimes.push_back(profile_of(file.substr(7, file.size() - 10)));
      }
    }
  }
  return device;
}

namespace {

class FolderSource final : public ModelSource {
 public:
  FolderSource(FileSystem& fs, const std::filesystem::path& folder)
      : name_("folder " + folder.string()),
        metadata_(fs, folder / "metadata"),
        blobs_(fs, folder / "blobs") {}
  [[nodiscard]] std::string name() const override { return name_; }
  security::tuf::Fetcher& metadata() override { return metadata_; }
  registry::BlobSource& blobs() override { return blobs_; }

 private:
  std::string name_;
  security::tuf::DirectoryFetcher metadata_;
  registry::FileSource blobs_;
};

}  // namespace

std::unique_ptr<ModelSource> make_folder_source(FileSystem& fs,
                                                const std::filesystem::path& folder) {
  return std::make_unique<FolderSource>(fs, folder);
}

}  // namespace skerry::agent
