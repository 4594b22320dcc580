#include "skerry/registry/fetcher.hpp"

#include <algorithm>
#include <map>

#include "fetch_run.hpp"
#include "source_standing.hpp"

namespace skerry::registry {
namespace {

constexpr std::chrono::nanoseconds kLongestPause = std::chrono::milliseconds{100};
constexpr std::chrono::milliseconds kLongestRetryWait = std::chrono::minutes{1};

Error cancelled() {
  return {Error::Code::kCancelled, "the fetch was cancelled"};
}

// The bytes of a chunk index, in memory.
class MemorySink final : public ByteSink {
 public:
  explicit MemorySink(std::size_t limit) : limit_(limit) {}

  Result<void> write(ByteView bytes) override {
    if (bytes.size() > limit_ - bytes_.size()) {
      return Error{Error::Code::kSizeMismatch, "more bytes than were asked for"};
    }
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }

  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  std::size_t limit_;
  Bytes bytes_;
};

}  // namespace

Result<void> Fetcher::Gate::write(ByteView bytes) {
  if (auto ok = run_.admit(bytes.size(), reach_); !ok) {
    return ok;
  }
  auto ok = next_.write(bytes);
  if (!ok) {
    receiver_failed = true;
  }
  if (after_piece_) {
    after_piece_();
  }
  run_.after_piece();
  return ok;
}

Fetcher::Run::Run(Fetcher& fetcher, const CancelFlag& cancel, const OnProgress& on_progress)
    : fetcher_(fetcher),
      cancel_(cancel),
      on_progress_(on_progress),
      bucket_(
          fetcher.options_.rate_limit,
          fetcher.options_.burst != 0 ? fetcher.options_.burst : fetcher.options_.rate_limit / 10,
          fetcher.clock_.boot_now()) {}

Result<FetchProgress> Fetcher::Run::run(std::span<const WantedBlob> wanted) {
  std::map<Digest, WantedBlob> unique;
  for (const auto& blob : wanted) {
    if (unique.emplace(blob.digest, blob).second) {
      progress_.total_bytes += blob.size;
      ++progress_.blobs_total;
    }
  }
  for (const auto& blob : wanted) {
    const auto entry = unique.extract(blob.digest);
    if (entry.empty()) {
      continue;
    }
    if (auto ok = fetch(entry.mapped()); !ok) {
      return ok.error();
    }
    finished_bytes_ += blob.size;
    progress_.done_bytes = finished_bytes_;
    ++progress_.blobs_done;
    report();
  }
  return progress_;
}

Result<void> Fetcher::Run::fetch(const WantedBlob& blob) {
  if (auto ok = check_chunking(blob.size, blob.chunk_size); !ok) {
    return ok.error().with_context("blob " + blob.digest.to_string());
  }
  auto here = store().holds(blob);
  if (here && !*here) {
    // Held under another chunk index, perhaps: then the whole file decides, before the network.
    here = store().settle(blob.digest);
  }
  if (!here) {
    return here.error();
  }
  if (*here) {
    progress_.reused_bytes += blob.size;
    return {};
  }
  auto index = fetch_index(blob);
  if (!index) {
    return index.error().with_context("chunk index");
  }
  auto ingest = store().begin(blob.digest, *index);
  if (!ingest) {
    return ingest.error();
  }
  progress_.reused_bytes += (*ingest)->verified_bytes();
  ingest_ = ingest->get();
  const bool at_once = fetcher_.options_.parallel && fetcher_.sources_.size() > 1;
  auto done = at_once ? fetch_in_parallel(blob) : fetch_chunks(blob);
  ingest_ = nullptr;
  if (!done) {
    return done;
  }
  return (*ingest)->finish();
}

Result<ChunkIndex> Fetcher::Run::fetch_index(const WantedBlob& blob) {
  if (blob.size <= blob.chunk_size) {
    auto index = ChunkIndex::of_single_chunk(blob.digest, blob.size, blob.chunk_size);
    if (index && index->digest() != blob.chunks) {
      return Error{Error::Code::kDigestMismatch,
                   "it is not that of a blob of one chunk; the manifest is wrong"};
    }
    return index;
  }
  const auto length = chunk_count(blob.size, blob.chunk_size) * Digest::kSize;
  const auto here = store().contains(blob.chunks);
  if (!here) {
    return here.error();
  }
  if (*here) {
    auto bytes = store().read(blob.chunks, length);
    if (bytes) {
      return ChunkIndex::parse(*bytes, blob.size, blob.chunk_size);
    }
    // It was changed on disk and is in quarantine now: fetch it like one that was never here.
    fetcher_.log_.warning("registry.chunk_index_refetched", bytes.error());
  }
  MemorySink memory{length};
  auto received = ask_sources(blob.chunks, [&](BlobSource& source) -> Result<void> {
    memory.clear();
    Gate gate{*this, memory, source.reach()};
    if (auto ok = source.read({blob.chunks, 0, length}, gate, cancel_); !ok) {
      return ok;
    }
    if (Digest::of(memory.bytes()) != blob.chunks) {
      progress_.rejected_bytes += memory.bytes().size();
      return Error{Error::Code::kDigestMismatch, "sent other bytes"};
    }
    return {};
  });
  if (!received) {
    return received.error();
  }
  if (auto stored = store().put(memory.bytes()); !stored) {
    return stored.error();
  }
  return ChunkIndex::parse(memory.bytes(), blob.size, blob.chunk_size);
}

Result<void> Fetcher::Run::ask_sources(const Digest& blob,
                                       const std::function<Result<void>(BlobSource&)>& attempt) {
  SourceStanding standing{fetcher_.sources_.size(), fetcher_.options_.attempts_per_source};
  auto wait = fetcher_.options_.retry_wait;
  while (const auto source = standing.next()) {
    if (cancel_.cancelled()) {
      return cancelled();
    }
    const auto verified_before = verified_bytes();
    auto ok = attempt(*fetcher_.sources_[*source]);
    if (ok) {
      return ok;
    }
    if (failed_here() || ok.error().code() == Error::Code::kCancelled) {
      return ok;
    }
    fetcher_.log_.warning("registry.source_failed",
                          {{"source", fetcher_.sources_[*source]->name()},
                           {"blob", blob.to_string()},
                           {"error", ok.error().to_string()}});
    if (verified_bytes() > verified_before) {
      standing.progress(*source);
      wait = fetcher_.options_.retry_wait;
    }
    standing.fail(*source, ok.error());
    if (standing.round_is_over() && standing.next()) {
      pause(wait);
      wait = std::min(2 * wait, kLongestRetryWait);
    }
  }
  return standing.summary(fetcher_.sources_, blob);
}

Result<void> Fetcher::Run::fetch_chunks(const WantedBlob& blob) {
  ChunkSink sink{*ingest_, fetcher_.options_.queue_chunks};
  return ask_sources(blob.digest, [&](BlobSource& source) -> Result<void> {
    const auto per_request =
        std::max<std::uint64_t>(1, fetcher_.options_.max_request / blob.chunk_size);
    for (const auto& run : ingest_->missing()) {
      for (std::uint64_t done = 0; done < run.count; done += per_request) {
        const ChunkRun part{run.first + done, std::min(per_request, run.count - done)};
        const auto before = verified_bytes();
        auto ok = fetch_run(source, sink, blob.digest, part, cancel_);
        credit(source, verified_bytes() - before);
        if (!ok) {
          return ok;
        }
      }
    }
    return {};
  });
}

Result<void> Fetcher::Run::fetch_run(BlobSource& source,
                                     ChunkSink& sink,
                                     const Digest& blob,
                                     ChunkRun run,
                                     const CancelFlag& cancel,
                                     const std::function<void()>& after_piece) {
  const auto& index = ingest_->index();
  const auto offset = index.offset_of(run.first);
  const auto last = run.first + run.count - 1;
  const auto end = index.offset_of(last) + index.length_of(last);
  sink.reset();
  if (auto ok = sink.seek(offset); !ok) {
    return ok;
  }
  // Before anything is asked for: what the link carries in vain counts as well.
  if (source.reach() == SourceReach::kLink && fetcher_.options_.budget != nullptr) {
    if (auto ok = fetcher_.options_.budget->spend(0); !ok) {
      return ok;
    }
  }
  Gate gate{*this, sink, source.reach(), after_piece};
  auto read = source.read({blob, offset, end - offset}, gate, cancel);
  auto stored = sink.flush();
  {
    const std::lock_guard lock{mutex_};
    for (const auto chunk : sink.rejected()) {
      progress_.rejected_bytes += index.length_of(chunk);
    }
  }
  if (!stored && !sink.rejected().empty()) {
    return Error{Error::Code::kDigestMismatch, stored.error().message()};
  }
  if (!stored && stored.error().code() != Error::Code::kFailedPrecondition) {
    // The disk, not the source: another source would not help.
    const std::lock_guard lock{mutex_};
    local_failure_ = local_failure_ || gate.receiver_failed || read.has_value();
    return stored;
  }
  if (!read) {
    return read;
  }
  if (!stored) {
    return Error{Error::Code::kSizeMismatch, "sent fewer bytes than it was asked for"};
  }
  if (!ingest_->has_chunk(last)) {
    return Error{Error::Code::kSizeMismatch, "sent fewer bytes than it was asked for"};
  }
  return {};
}

Result<void> Fetcher::Run::admit(std::size_t bytes, SourceReach reach) {
  std::chrono::nanoseconds wait{0};
  {
    const std::lock_guard lock{mutex_};
    progress_.fetched_bytes += bytes;
    if (reach == SourceReach::kLink) {
      progress_.link_bytes += bytes;
      wait = bucket_.take(bytes, fetcher_.clock_.boot_now());
    }
  }
  if (reach == SourceReach::kLink && fetcher_.options_.budget != nullptr) {
    if (auto ok = fetcher_.options_.budget->spend(bytes); !ok) {
      return ok;
    }
  }
  pause(wait);
  if (cancel_.cancelled()) {
    return cancelled();
  }
  return {};
}

void Fetcher::Run::pause(std::chrono::nanoseconds time) {
  while (time.count() > 0 && !cancel_.cancelled()) {
    const auto slice = std::min(time, kLongestPause);
    fetcher_.pause_(slice);
    time -= slice;
  }
}

void Fetcher::Run::after_piece() {
  const std::lock_guard lock{mutex_};
  const auto done = finished_bytes_ + verified_bytes();
  if (done != progress_.done_bytes) {
    progress_.done_bytes = done;
    report();
  }
}

void Fetcher::Run::credit(const BlobSource& source, std::uint64_t bytes) {
  if (bytes > 0) {
    const std::lock_guard lock{mutex_};
    progress_.by_source[source.name()] += bytes;
  }
}

void Fetcher::Run::report() {
  if (on_progress_) {
    on_progress_(progress_);
  }
}

Fetcher::Fetcher(BlobStore& store,
                 std::vector<BlobSource*> sources,
                 const Clock& clock,
                 Pause pause,
                 Log log,
                 const FetchOptions& options)
    : store_(store),
      sources_(std::move(sources)),
      clock_(clock),
      pause_(std::move(pause)),
      log_(std::move(log)),
      options_(options) {}

Result<FetchProgress> Fetcher::fetch(std::span<const WantedBlob> wanted,
                                     const CancelFlag& cancel,
                                     const OnProgress& on_progress) {
  return Run{*this, cancel, on_progress}.run(wanted);
}

Result<std::uint64_t> Fetcher::bytes_missing(std::span<const WantedBlob> wanted) {
  std::uint64_t bytes = 0;
  std::map<Digest, bool> seen;
  for (const auto& blob : wanted) {
    if (!seen.emplace(blob.digest, true).second) {
      continue;
    }
    const auto here = store_.holds(blob);
    if (!here) {
      return here.error();
    }
    bytes += *here ? 0 : blob.size;
  }
  return bytes;
}

}  // namespace skerry::registry
