#pragma once

// Gets wanted blobs from sources into the store: chunk index first, then the missing chunks, each
// verified; a bad or short answer moves on to the next source, a restart continues where the last
// one stopped. Several sources can be asked at once, each for other chunks (ADR 0089). No network
// and no clock of its own: sources bring the bytes, `Pause` waits.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/registry/wanted_blob.hpp"

namespace skerry::registry {

struct FetchProgress {
  std::uint64_t total_bytes = 0;     // of all wanted blobs
  std::uint64_t done_bytes = 0;      // verified, whether fetched or reused
  std::uint64_t fetched_bytes = 0;   // received by this run (payload; chunks that failed count too)
  std::uint64_t link_bytes = 0;      // of these, over the link and not from the site
  std::uint64_t reused_bytes = 0;    // were here: whole blobs and chunks of an earlier attempt
  std::uint64_t rejected_bytes = 0;  // chunks that failed verification
  std::size_t blobs_total = 0;
  std::size_t blobs_done = 0;
  // Verified payload by source; only of those that gave some.
  std::map<std::string, std::uint64_t> by_source;
};

// Says whether bytes may come over the link now. Thread-safe.
class LinkBudget {
 public:
  virtual ~LinkBudget() = default;
  // Counts `bytes`, which just arrived, before they are kept. kResourceExhausted, with until when,
  // makes the fetch go on with sources of the site alone.
  virtual Result<void> spend(std::uint64_t bytes) = 0;
};

struct FetchOptions {
  // Bytes per second; 0: as fast as it goes.
  std::uint64_t rate_limit = 0;
  // Bytes that may go at once under the limit; at least one piece passes. 0: a tenth of a second.
  std::uint64_t burst = 0;
  // How often each missing range is asked of each source before the fetch fails.
  unsigned attempts_per_source = 3;
  // First wait before asking the same source again; doubles up to a minute.
  std::chrono::milliseconds retry_wait{500};
  // Longest range of one request.
  std::uint64_t max_request = 64ULL << 20U;
  std::size_t queue_chunks = 4;
  // All sources at once, each for other chunks; else one after the other.
  bool parallel = false;
  // Ask sources over the link only while none of the site can serve.
  bool prefer_site = true;
  // Asked for every byte that comes over the link, which alone `rate_limit` slows; null: none.
  LinkBudget* budget = nullptr;
};

class Fetcher {
 public:
  // Waits that long, or less when cancelled. Tests move a clock instead.
  using Pause = std::function<void(std::chrono::nanoseconds)>;
  // Called from the threads that sources write from, one call at a time, at most once per chunk;
  // must not block.
  using OnProgress = std::function<void(const FetchProgress&)>;

  // References and `sources` (16 at most) must outlive the fetcher. Sources are asked in the order
  // given, or at once. One source is read by one thread at a time.
  Fetcher(BlobStore& store,
          std::vector<BlobSource*> sources,
          const Clock& clock,
          Pause pause,
          Log log,
          const FetchOptions& options = {});

  // Blocks until every blob is in the store. Blobs that are here are not asked for. On failure what
  // was verified stays staged: kCancelled, kNotFound (no source has it), kDigestMismatch (all
  // sources served wrong bytes), kUnavailable, kNoSpace …; the message names the blob and each
  // source's answer.
  Result<FetchProgress> fetch(std::span<const WantedBlob> wanted,
                              const CancelFlag& cancel,
                              const OnProgress& on_progress = {});

  // Bytes `fetch` would have to receive at most: whole blobs that are not here as they are named.
  Result<std::uint64_t> bytes_missing(std::span<const WantedBlob> wanted);

 private:
  class Run;
  class Gate;
  BlobStore& store_;
  std::vector<BlobSource*> sources_;
  const Clock& clock_;
  Pause pause_;
  Log log_;
  FetchOptions options_;
};

// The bytes-per-second limit of a fetch, by itself for tests. Not thread-safe.
class TokenBucket {
 public:
  TokenBucket(std::uint64_t rate, std::uint64_t burst, BootTime now);
  // Takes `bytes` and returns how long to wait first; zero for rate 0.
  std::chrono::nanoseconds take(std::uint64_t bytes, BootTime now);

 private:
  std::uint64_t rate_;
  double burst_;
  double tokens_;
  BootTime last_;
};

}  // namespace skerry::registry
