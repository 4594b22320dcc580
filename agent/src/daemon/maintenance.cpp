#include "skerry/agent/maintenance.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"

namespace skerry::agent {
namespace {

constexpr std::chrono::seconds kLook{60};
// The first look, and the first of those while what slots run is missing; each waits twice as long.
constexpr std::chrono::seconds kFirstLook{3};
// The most that one look reads: a request that comes meanwhile waits for no more than this.
constexpr std::chrono::seconds kSliceTime{10};
constexpr std::chrono::nanoseconds kPauseStep = std::chrono::milliseconds{50};

// On a thread that may sleep, in steps that notice a cancel.
void pause_for(std::chrono::nanoseconds wait, const registry::CancelFlag& cancel) {
  while (wait.count() > 0 && !cancel.cancelled()) {
    const auto step = std::min(wait, kPauseStep);
    std::this_thread::sleep_for(step);
    wait -= step;
  }
}

security::AuditEvent finding_event(const registry::ScrubFinding& finding,
                                   const std::string& correlation) {
  security::AuditEvent event =
      security::AuditEvent::intent(security::AuditClass::kModelChange,
                                   security::Principal::system("scrub"),
                                   finding.healed ? "blob.healed" : "blob.quarantined",
                                   correlation);
  event.authn_method = "internal";
  event.phase = security::AuditPhase::kSingle;
  event.outcome = security::AuditOutcome::kSuccess;
  event.object.blob_digest = finding.digest.to_string();
  event.reason = finding.detail;
  return event;
}

}  // namespace

registry::GcGoal Maintenance::marks() const {
  const StorageConfig& storage = core_.settings->storage();
  registry::GcGoal goal;
  goal.high = storage.high_water.bytes;
  goal.low = storage.low_water.bytes;
  return goal;
}

Task<void> Maintenance::run() {
  co_await convert();
  std::chrono::seconds pause = kFirstLook;
  std::chrono::seconds waited{0};
  while (true) {
    co_await async::sleep_for(pause);
    waited += pause;
    const bool complete = co_await fetch_lost();
    pause = complete ? kLook : std::min(kLook, 2 * pause);
    // The rest can wait for its minute.
    if (waited < kLook) {
      continue;
    }
    waited = std::chrono::seconds{0};
    co_await collect();
    co_await convert();
    co_await scrub_a_little();
  }
}

// What a lost key, rot that nobody could heal or a hand on the disk took from what slots run: told,
// and fetched from who serves it as soon as there is somebody. True if nothing is missing.
Task<bool> Maintenance::fetch_lost() {
  auto look = [this] { return missing_blobs(); };
  Result<std::vector<registry::WantedBlob>> missing =
      co_await async::offload(core_.disk, std::move(look));
  if (!missing) {
    core_.log.error("registry.lost_not_looked_for", missing.error());
    co_return false;
  }
  if (missing->size() != lost_) {
    lost_ = missing->size();
    if (lost_ != 0) {
      core_.log.warning("registry.lost", {{"blobs", lost_}});
    }
  }
  if (missing->empty()) {
    co_return true;
  }
  auto work = [this, source = parts_.slots.source(), wanted = *std::move(missing)] {
    return fetch_missing(source.get(), wanted);
  };
  Result<bool> fetched = co_await async::offload(core_.transfer(), std::move(work));
  if (!fetched) {
    core_.log.warning("registry.lost_not_fetched", fetched.error());
    co_return false;
  }
  if (*fetched) {
    core_.log.info("registry.lost_fetched", {{"blobs", lost_}});
    lost_ = 0;
  }
  co_return *fetched;
}

Result<std::vector<registry::WantedBlob>> Maintenance::missing_blobs() {
  Result<std::vector<registry::Slot>> slots = parts_.catalogue.list_slots();
  if (!slots) {
    return slots.error();
  }
  std::vector<registry::WantedBlob> missing;
  for (const registry::Slot& slot : *slots) {
    for (const auto& generation : {slot.active, slot.previous}) {
      if (!generation) {
        continue;
      }
      if (Result<void> looked = look_for(*generation, missing); !looked) {
        return looked.error();
      }
    }
  }
  return missing;
}

// What a slot's generation needs and the store does not hold is added to `missing`.
Result<void> Maintenance::look_for(const registry::SlotGeneration& generation,
                                   std::vector<registry::WantedBlob>& missing) {
  Result<registry::VerifiedManifest> manifest = parts_.catalogue.manifest(generation.manifest);
  if (!manifest) {
    return manifest.error();
  }
  const registry::Variant* variant = manifest->manifest.find_variant(generation.variant);
  if (variant == nullptr) {
    return {};
  }
  for (const registry::ManifestFile& file : manifest->manifest.files_for(*variant)) {
    const auto wanted = registry::WantedBlob::from(file);
    Result<bool> here = parts_.store.holds(wanted);
    if (!here) {
      return here.error();
    }
    const bool told = std::any_of(missing.begin(), missing.end(), [&](const auto& one) {
      return one.digest == wanted.digest;
    });
    if (!*here && !told) {
      missing.push_back(wanted);
    }
  }
  return {};
}

// False without a source to ask.
Result<bool> Maintenance::fetch_missing(ModelSource* source,
                                        const std::vector<registry::WantedBlob>& missing) {
  const bool costly = parts_.sources.link().state().metered;
  OpenedSources from{&parts_.sources, source != nullptr ? &source->blobs() : nullptr, costly};
  if (from.all.empty()) {
    return false;
  }
  registry::Fetcher fetcher{parts_.store,
                            from.all,
                            core_.clock,
                            [this](std::chrono::nanoseconds wait) { pause_for(wait, cancel_); },
                            core_.log,
                            parts_.sources.options()};
  Result<registry::FetchProgress> fetched = fetcher.fetch(missing, cancel_);
  return fetched ? Result<bool>{true} : fetched.error();
}

Task<void> Maintenance::count_forms() {
  auto count = [this] { return parts_.store.forms(); };
  Result<registry::StoreForms> forms = co_await async::offload(core_.disk, std::move(count));
  if (!forms) {
    core_.log.error("registry.not_counted", forms.error());
    co_return;
  }
  unconverted_ = core_.settings->storage().encrypts() ? forms->plain : forms->sealed;
}

// Blob by blob; what cannot be done now (no space) is tried again at the next look.
Task<void> Maintenance::convert() {
  const StorageConfig& storage = core_.settings->storage();
  if (storage.encryption_key.empty()) {
    co_return;
  }
  co_await count_forms();
  std::uint64_t converted = 0;
  while (unconverted_ > 0) {
    auto work = [this] {
      return parts_.store.convert_one([this](std::size_t) -> Result<void> {
        return cancel_.cancelled() ? Result<void>{Error{Error::Code::kCancelled, "stopping"}}
                                   : Result<void>{};
      });
    };
    Result<bool> done = co_await async::offload(core_.transfer(), std::move(work));
    if (!done && done.error().code() != Error::Code::kCancelled) {
      core_.log.error("registry.convert_failed", done.error());
    }
    if (!done || !*done) {
      break;
    }
    ++converted;
    --unconverted_;
  }
  if (converted > 0) {
    co_await count_forms();
    core_.log.info(
        "registry.converted",
        {{"blobs", converted}, {"encryption", storage.encryption}, {"left", unconverted_}});
  }
}

Task<void> Maintenance::collect() {
  const registry::GcGoal goal = marks();
  if (goal.high == 0) {
    co_return;
  }
  auto work = [this, goal, leased = parts_.host.leased_blobs()] {
    return registry::run_gc(parts_.catalogue, parts_.store, leased, goal);
  };
  Result<registry::GcReport> done = co_await async::offload(core_.disk, std::move(work));
  if (!done) {
    core_.log.error("registry.collect_failed", done.error());
    co_return;
  }
  if (done->removed > 0) {
    core_.log.info("registry.collected", {{"blobs", done->removed}, {"bytes", done->bytes}});
  }
}

Task<void> Maintenance::scrub_a_little() {
  const StorageConfig& storage = core_.settings->storage();
  if (storage.scrub_interval.count() == 0 || scrubbing_ || parts_.busy()) {
    co_return;
  }
  registry::ScrubOptions options;
  options.rate_limit = storage.scrub_rate.bytes;
  options.older_than = storage.scrub_interval;
  options.max_bytes = std::max<std::uint64_t>(
      1, storage.scrub_rate.bytes * static_cast<std::uint64_t>(kSliceTime.count()));
  Result<registry::ScrubReport> done = co_await scrub(options);
  if (!done && done.error().code() != Error::Code::kCancelled) {
    core_.log.error("registry.scrub_failed", done.error());
  }
}

Task<Result<registry::ScrubReport>> Maintenance::scrub(registry::ScrubOptions options) {
  if (scrubbing_) {
    co_return Error(Error::Code::kFailedPrecondition, "a scrub is running already");
  }
  scrubbing_ = true;
  auto work = [this, options, source = parts_.slots.source()]() -> Result<registry::ScrubReport> {
    registry::Fetcher::Pause pause = [this](std::chrono::nanoseconds wait) {
      pause_for(wait, cancel_);
    };
    registry::Scrubber::Heal heal;
    const bool costly = parts_.sources.link().state().metered;
    OpenedSources from{&parts_.sources, source ? &source->blobs() : nullptr, costly};
    if (!from.all.empty()) {
      heal = [this, &from, &pause](const registry::WantedBlob& wanted) -> Result<void> {
        registry::Fetcher fetcher{
            parts_.store, from.all, core_.clock, pause, core_.log, parts_.sources.options()};
        const std::vector<registry::WantedBlob> all{wanted};
        Result<registry::FetchProgress> fetched = fetcher.fetch(all, cancel_);
        return fetched ? Result<void>{} : fetched.error();
      };
    }
    registry::Scrubber scrubber{parts_.store, parts_.catalogue, core_.clock, pause};
    return scrubber.run(options, cancel_, heal);
  };
  Result<registry::ScrubReport> report = co_await async::offload(core_.transfer(), std::move(work));
  scrubbing_ = false;
  if (!report) {
    co_return report;
  }
  const std::string correlation = "scrub-" + core_.random.hex(8);
  for (const registry::ScrubFinding& finding : report->findings) {
    core_.log.error("registry.blob_rotten",
                    {{"blob", finding.digest.to_string()},
                     {"healed", finding.healed},
                     {"detail", finding.detail}});
    security::AuditEvent event = finding_event(finding, correlation);
    Result<void> recorded = co_await parts_.audit.record_durable(std::move(event));
    if (!recorded) {
      core_.log.error("audit.not_recorded", recorded.error());
    }
  }
  core_.log.info("registry.scrubbed",
                 {{"blobs", report->blobs},
                  {"bytes", report->bytes},
                  {"settled", report->settled},
                  {"findings", report->findings.size()}});
  co_return report;
}

}  // namespace skerry::agent
