// Several sources at once, each for other chunks of one blob: a thread per source takes runs from a
// common plan until the blob is complete or nobody can go on. Verification, order and crash safety
// are those of the ingest; a source is only ever a thief of time.

#include <algorithm>

#include "chunk_plan.hpp"
#include "fetch_run.hpp"
#include "on_threads.hpp"

namespace skerry::registry {
namespace {

// How long a thread that has nothing to do waits before it asks the plan again.
constexpr std::chrono::milliseconds kIdlePause{20};
// Configuration allows no more sources; each has a few chunks in memory.
constexpr std::size_t kMaxAtOnce = 16;

// Watches one run: tells the plan what arrived, and stops the source when it brings nothing new.
class RunWatch {
 public:
  RunWatch(ChunkPlan& plan,
           std::mutex& mutex,
           const BlobIngest& ingest,
           const Clock& clock,
           std::size_t source,
           ChunkRun run,
           CancelFlag& cancel)
      : plan_(plan),
        mutex_(mutex),
        ingest_(ingest),
        clock_(clock),
        source_(source),
        run_(run),
        cancel_(cancel),
        seen_(run.count, false) {}

  // After each piece, and once more at the end. Looks only a few chunks ahead of the oldest one
  // that is still on its way: they are checked out of order, but not by far.
  void look(bool all) {
    std::uint64_t ahead = 0;
    for (auto i = oldest_; i < run_.count && (all || ahead < kAhead); ++i, ++ahead) {
      if (!seen_[i] && ingest_.has_chunk(run_.first + i)) {
        seen_[i] = true;
        bytes_ += ingest_.index().length_of(run_.first + i);
        const std::lock_guard lock{mutex_};
        plan_.arrived(source_, run_.first + i, clock_.boot_now());
      }
    }
    while (oldest_ < run_.count && seen_[oldest_]) {
      ++oldest_;
    }
    const std::lock_guard lock{mutex_};
    if (plan_.pointless(source_)) {
      cancel_.cancel();
    }
  }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr std::uint64_t kAhead = 8;
  ChunkPlan& plan_;
  std::mutex& mutex_;
  const BlobIngest& ingest_;
  const Clock& clock_;
  std::size_t source_;
  ChunkRun run_;
  CancelFlag& cancel_;
  std::vector<bool> seen_;
  std::uint64_t oldest_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<void> Fetcher::Run::fetch_in_parallel(const WantedBlob& blob) {
  ChunkPlanOptions options;
  options.attempts = fetcher_.options_.attempts_per_source;
  options.retry_wait = fetcher_.options_.retry_wait;
  options.max_run = std::max<std::uint64_t>(1, fetcher_.options_.max_request / blob.chunk_size);
  options.prefer_site = fetcher_.options_.prefer_site;
  std::vector<ChunkPlan::Source> sources;
  for (const auto* source : fetcher_.sources_) {
    sources.push_back({source->name(), source->reach()});
  }
  ChunkPlan plan{ingest_->index().count(), ingest_->missing(), std::move(sources), options};
  on_threads(std::min(fetcher_.sources_.size(), kMaxAtOnce),
             [this, &plan, &blob](std::size_t source) { serve_plan(plan, source, blob); });
  if (cancel_.cancelled()) {
    return Error{Error::Code::kCancelled, "the fetch was cancelled"};
  }
  if (receiver_error_) {
    return *receiver_error_;
  }
  return plan.complete() ? Result<void>{} : plan.summary(blob.digest.to_string());
}

void Fetcher::Run::serve_plan(ChunkPlan& plan, std::size_t source, const WantedBlob& blob) {
  BlobSource& from = *fetcher_.sources_[source];
  const auto& clock = fetcher_.clock_;
  std::optional<ChunkSink> sink;
  const auto over = [&] {
    const std::lock_guard lock{plan_mutex_};
    return cancel_.cancelled() || receiver_error_ || plan.over();
  };
  while (!over()) {
    std::optional<ChunkRun> run;
    {
      const std::lock_guard lock{plan_mutex_};
      run = plan.take(source, clock.boot_now());
    }
    if (!run) {
      pause(kIdlePause);
      continue;
    }
    if (!sink) {
      sink.emplace(*ingest_, 2, 1);
    }
    CancelFlag stop{&cancel_};
    RunWatch watch{plan, plan_mutex_, *ingest_, clock, source, *run, stop};
    const auto done =
        fetch_run(from, *sink, blob.digest, *run, stop, [&watch] { watch.look(false); });
    watch.look(true);
    credit(from, watch.bytes());
    after_piece();
    const std::lock_guard lock{plan_mutex_};
    if (done || plan.pointless(source)) {
      plan.finished(source, clock.boot_now());
    } else if (failed_here()) {
      receiver_error_ = done.error();
    } else if (!cancel_.cancelled()) {
      const bool lost = plan.failed(source, done.error(), clock.boot_now());
      fetcher_.log_.warning(lost ? "registry.source_demoted" : "registry.source_failed",
                            {{"source", from.name()},
                             {"blob", blob.digest.to_string()},
                             {"error", done.error().to_string()}});
    }
  }
}

}  // namespace skerry::registry
