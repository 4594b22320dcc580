#pragma once

// One call of `Fetcher::fetch`: its progress, its limits, and the two ways of getting the chunks of
// a blob: one source after the other (fetcher.cpp) and several at once (parallel_fetch.cpp).

#include <functional>
#include <mutex>
#include <optional>
#include <span>

#include "skerry/registry/chunk_sink.hpp"
#include "skerry/registry/fetcher.hpp"

namespace skerry::registry {

class ChunkPlan;

// Counts and slows down what a source sends, and remembers whose fault a failure is.
class Fetcher::Gate final : public ByteSink {
 public:
  Gate(Run& run, ByteSink& next, SourceReach reach, std::function<void()> after_piece = {})
      : run_(run), next_(next), reach_(reach), after_piece_(std::move(after_piece)) {}
  Result<void> write(ByteView bytes) override;
  bool receiver_failed = false;

 private:
  Run& run_;
  ByteSink& next_;
  SourceReach reach_;
  std::function<void()> after_piece_;
};

class Fetcher::Run {
 public:
  Run(Fetcher& fetcher, const CancelFlag& cancel, const OnProgress& on_progress);

  Result<FetchProgress> run(std::span<const WantedBlob> wanted);

 private:
  friend class Gate;

  Result<void> fetch(const WantedBlob& blob);
  Result<ChunkIndex> fetch_index(const WantedBlob& blob);
  // Asks source after source until `attempt` works; waits when all of them failed once more.
  Result<void> ask_sources(const Digest& blob,
                           const std::function<Result<void>(BlobSource&)>& attempt);
  Result<void> fetch_chunks(const WantedBlob& blob);
  Result<void> fetch_run(BlobSource& source,
                         ChunkSink& sink,
                         const Digest& blob,
                         ChunkRun run,
                         const CancelFlag& cancel,
                         const std::function<void()>& after_piece = {});

  // parallel_fetch.cpp. One thread per source; returns when the blob is complete or nobody can go
  // on.
  Result<void> fetch_in_parallel(const WantedBlob& blob);
  void serve_plan(ChunkPlan& plan, std::size_t source, const WantedBlob& blob);

  BlobStore& store() { return fetcher_.store_; }
  [[nodiscard]] std::uint64_t verified_bytes() const {
    return ingest_ == nullptr ? 0 : ingest_->verified_bytes();
  }
  // Counts `bytes` and waits as the limit says.
  Result<void> admit(std::size_t bytes, SourceReach reach);
  // In slices, so that a cancel is noticed soon.
  void pause(std::chrono::nanoseconds time);
  void after_piece();
  void credit(const BlobSource& source, std::uint64_t bytes);
  void report();
  // True if the store failed, not a source.
  bool failed_here() {
    const std::lock_guard lock{mutex_};
    return local_failure_;
  }

  Fetcher& fetcher_;
  const CancelFlag& cancel_;
  const OnProgress& on_progress_;
  std::uint64_t finished_bytes_ = 0;
  BlobIngest* ingest_ = nullptr;

  // Several threads fetch: what they share.
  std::mutex mutex_;
  TokenBucket bucket_;
  FetchProgress progress_;
  bool local_failure_ = false;

  // Taken before `mutex_` where both are.
  std::mutex plan_mutex_;
  std::optional<Error> receiver_error_;
};

}  // namespace skerry::registry
