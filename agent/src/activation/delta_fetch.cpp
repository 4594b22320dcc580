#include "delta_fetch.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "skerry/registry/delta.hpp"

namespace skerry::agent {
namespace {

using registry::WantedBlob;

constexpr std::size_t kMaxHeldOffered = 16;
// Smaller blobs are fetched before a delta would be asked for.
constexpr std::uint64_t kSmallestForDelta = 1U << 20U;
// How long a delta that is being made is waited for: it is made once for all devices, at low
// priority.
constexpr std::uint64_t kMakeRate = 1'000'000;
constexpr std::chrono::milliseconds kPatience{30'000};
constexpr std::chrono::milliseconds kShortPatience{5'000};
constexpr std::chrono::milliseconds kShortestPoll{200};
constexpr std::chrono::milliseconds kLongestPoll{10'000};
constexpr std::chrono::milliseconds kDeltaPauseStep{50};
constexpr unsigned kApplyThreads = 4;

// Serves the target from the delta, and its chunk index from wherever blobs come from.
class AppliedSource final : public registry::BlobSource {
 public:
  AppliedSource(const registry::DeltaReader& reader,
                registry::BlobSource& other,
                const Digest& target)
      : delta_(reader, std::clamp(std::thread::hardware_concurrency(), 1U, kApplyThreads)),
        other_(other),
        target_(target) {}
  [[nodiscard]] std::string name() const override { return "delta"; }
  // What it makes is no traffic; the chunk index, which may be, is small.
  [[nodiscard]] registry::SourceReach reach() const override {
    return registry::SourceReach::kSite;
  }
  Result<void> read(const registry::BlobRange& range,
                    registry::ByteSink& sink,
                    const registry::CancelFlag& cancel) override {
    return range.digest == target_ ? delta_.read(range, sink, cancel)
                                   : other_.read(range, sink, cancel);
  }

 private:
  registry::DeltaSource delta_;
  registry::BlobSource& other_;
  Digest target_;
};

// Whether a delta from `blob`, weights of another version or variant, to `wanted` can pay.
bool worth_a_delta(const WantedBlob& blob, const WantedBlob& wanted) {
  return blob.digest != wanted.digest && blob.size >= kSmallestForDelta &&
         blob.size / 4 <= wanted.size && wanted.size / 4 <= blob.size;
}

// The weights of `variants` in the format of `like` that a delta to `wanted` could start from:
// those of the variant of the same name, and the others.
void collect_weights(const std::vector<registry::Variant>& variants,
                     const registry::Variant& like,
                     const WantedBlob& wanted,
                     std::vector<WantedBlob>& same,
                     std::vector<WantedBlob>& others) {
  for (const auto& candidate : variants) {
    if (candidate.format != like.format) {
      continue;
    }
    auto& list = candidate.name == like.name ? same : others;
    for (const auto& file : candidate.files) {
      const auto blob = WantedBlob::from(file);
      if (file.role == registry::FileRole::kWeights && worth_a_delta(blob, wanted) &&
          std::find(list.begin(), list.end(), blob) == list.end()) {
        list.push_back(blob);
      }
    }
  }
}

}  // namespace

void DeltaFetch::pause(std::chrono::milliseconds time) const {
  // A transfer thread: it may sleep, in steps that notice a cancel.
  while (time.count() > 0 && !cancel_.cancelled()) {
    const auto step = std::min(time, kDeltaPauseStep);
    std::this_thread::sleep_for(step);
    time -= step;
  }
}

Result<std::vector<WantedBlob>> DeltaFetch::held_for(const registry::Manifest& manifest,
                                                     const registry::Variant& variant,
                                                     const WantedBlob& wanted) {
  auto known = catalogue_.list_manifests();
  if (!known) {
    return known.error();
  }
  // The same variant of the newest version first: versions come newest first.
  std::vector<WantedBlob> same;
  std::vector<WantedBlob> others;
  for (const auto& entry : *known) {
    if (entry.manifest.model == manifest.model) {
      collect_weights(entry.manifest.variants, variant, wanted, same, others);
    }
  }
  same.insert(same.end(), others.begin(), others.end());
  std::vector<WantedBlob> held;
  for (const auto& blob : same) {
    auto here = store_.holds(blob);
    if (!here) {
      return here.error();
    }
    if (*here) {
      held.push_back(blob);
    }
    if (held.size() == kMaxHeldOffered) {
      break;
    }
  }
  return held;
}

Result<DeltaOffer> DeltaFetch::ask(const WantedBlob& wanted, std::span<const WantedBlob> held) {
  std::vector<Digest> digests;
  for (const auto& blob : held) {
    digests.push_back(blob.digest);
  }
  auto patience = kPatience + std::chrono::milliseconds{1000 * (wanted.size / kMakeRate)};
  if (core_.settings->sync().delta != "always") {
    // Where time decides, waiting must not cost more than the full file would, as far as known.
    const auto rate = rates_.link();
    patience =
        std::min(patience,
                 rate ? std::chrono::milliseconds{1000 * wanted.size / *rate / 2} : kShortPatience);
  }
  for (;;) {
    auto offer = source_.find_delta(wanted.digest, digests);
    if (!offer || offer->state != DeltaOffer::State::kPending) {
      return offer;
    }
    const auto wait = std::clamp(offer->retry_after, kShortestPoll, kLongestPoll);
    if (patience < wait) {
      return DeltaOffer{};
    }
    patience -= wait;
    pause(wait);
    if (cancel_.cancelled()) {
      return Error{Error::Code::kCancelled, "the fetch was cancelled"};
    }
  }
}

Result<bool> DeltaFetch::worth(const DeltaOffer& offer, const WantedBlob& wanted) {
  auto here = store_.holds(offer.delta);
  if (!here) {
    return here.error();
  }
  const auto& sync = core_.settings->sync();
  const auto verdict = judge_delta({.policy = sync.delta == "always"  ? DeltaPolicy::kAlways
                                              : sync.delta == "never" ? DeltaPolicy::kNever
                                                                      : DeltaPolicy::kAuto,
                                    .full_bytes = wanted.size,
                                    .delta_bytes = *here ? 0 : offer.delta.size,
                                    .link_rate = rates_.link(),
                                    .link_limit = sync.max_bytes_per_second.bytes,
                                    .apply_rate = rates_.apply()});
  core_.log.info(verdict.take ? "delta.taken" : "delta.left",
                 {{"blob", wanted.digest.to_string()},
                  {"delta_bytes", offer.delta.size},
                  {"blob_bytes", wanted.size},
                  {"why", verdict.why}});
  return verdict.take;
}

Result<void> DeltaFetch::apply(const DeltaOffer& offer,
                               const WantedBlob& base,
                               const WantedBlob& wanted,
                               const registry::Fetcher::OnProgress& on_progress) {
  auto delta_blob = store_.open_verified(offer.delta);
  if (!delta_blob) {
    return delta_blob.error();
  }
  auto base_blob = store_.open_verified(base);
  if (!base_blob) {
    return base_blob.error();
  }
  auto reader = registry::DeltaReader::open(*delta_blob->file, *base_blob->file);
  if (!reader) {
    return reader.error();
  }
  if ((*reader)->summary().header.target_size != wanted.size) {
    return Error{Error::Code::kSizeMismatch, "the delta makes a file of another size"};
  }
  AppliedSource applied{**reader, source_.blobs(), wanted.digest};
  registry::FetchOptions options;
  options.attempts_per_source = 1;
  registry::Fetcher fetcher{
      store_, {&applied}, core_.clock, [](std::chrono::nanoseconds) {}, core_.log, options};
  const auto begin = core_.clock.boot_now();
  auto done = fetcher.fetch(std::span{&wanted, 1}, cancel_, on_progress);
  if (!done) {
    return done.error();
  }
  rates_.add_apply(done->fetched_bytes, core_.clock.boot_now() - begin);
  return {};
}

void DeltaFetch::drop(const DeltaOffer& offer) {
  for (const Digest& digest : {offer.delta.digest, offer.delta.chunks}) {
    if (auto removed = store_.remove(digest);
        !removed && removed.error().code() != Error::Code::kNotFound) {
      core_.log.warning("delta.not_removed", removed.error());
    }
  }
}

Result<void> DeltaFetch::make_one(const registry::Manifest& manifest,
                                  const registry::Variant& variant,
                                  const WantedBlob& wanted,
                                  const FetchBlobs& fetch,
                                  const registry::Fetcher::OnProgress& on_progress) {
  const auto held = held_for(manifest, variant, wanted);
  if (!held || held->empty()) {
    return held ? Result<void>{} : Result<void>{held.error()};
  }
  auto offer = ask(wanted, *held);
  if (!offer) {
    return offer.error();
  }
  const auto base = std::find_if(held->begin(), held->end(), [&](const WantedBlob& blob) {
    return blob.digest == offer->base;
  });
  if (offer->state != DeltaOffer::State::kReady || base == held->end()) {
    return {};
  }
  const auto take = worth(*offer, wanted);
  if (!take || !*take) {
    return take ? Result<void>{} : Result<void>{take.error()};
  }
  auto fetched = fetch(std::span{&offer->delta, 1}, {});
  if (!fetched) {
    return fetched.error();
  }
  fetched_ += fetched->fetched_bytes;
  auto applied = apply(*offer, *base, wanted, on_progress);
  if (!applied && cancel_.cancelled()) {
    return applied;  // the delta stays for the next attempt
  }
  drop(*offer);
  if (applied) {
    core_.log.info("delta.applied",
                   {{"blob", wanted.digest.to_string()},
                    {"base", base->digest.to_string()},
                    {"delta_bytes", offer->delta.size},
                    {"blob_bytes", wanted.size}});
  }
  return applied;
}

std::uint64_t DeltaFetch::run(const registry::Manifest& manifest,
                              const registry::Variant& variant,
                              std::span<const WantedBlob> wanted,
                              const FetchBlobs& fetch,
                              const registry::Fetcher::OnProgress& on_progress) {
  if (core_.settings->sync().delta == "never") {
    return 0;
  }
  std::uint64_t total = 0;
  for (const auto& blob : wanted) {
    total += blob.size;
  }
  for (const auto& blob : wanted) {
    if (blob.size < kSmallestForDelta || cancel_.cancelled()) {
      continue;
    }
    const auto here = store_.holds(blob);
    if (!here || *here) {
      continue;
    }
    const auto report = [&](const registry::FetchProgress& progress) {
      if (on_progress) {
        auto whole = progress;
        whole.total_bytes = total;
        whole.fetched_bytes = fetched_;
        on_progress(whole);
      }
    };
    if (auto made = make_one(manifest, variant, blob, fetch, report);
        !made && made.error().code() != Error::Code::kCancelled) {
      core_.log.warning("delta.failed", made.error().with_context(blob.digest.to_string()));
    }
  }
  return fetched_;
}

}  // namespace skerry::agent
