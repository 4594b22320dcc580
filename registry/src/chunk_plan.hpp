#pragma once

// Who fetches which chunks of one blob when several sources are asked at once: hands out runs of
// missing chunks, larger ones to faster sources, gives a slow source's rest to an idle one, and
// remembers what each source did. Decides only; not thread-safe, no clock of its own.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/blob_store.hpp"

namespace skerry::registry {

struct ChunkPlanOptions {
  // Failures in a row, and wrong chunks in all, after which a source is not asked again.
  unsigned attempts = 3;
  std::chrono::milliseconds retry_wait{500};
  std::uint64_t max_run = 64;
  bool prefer_site = true;
};

class ChunkPlan {
 public:
  struct Source {
    std::string name;
    SourceReach reach = SourceReach::kLink;
  };
  // `missing`: what is to be fetched of a blob of `chunks` chunks.
  ChunkPlan(std::uint64_t chunks,
            const std::vector<ChunkRun>& missing,
            std::vector<Source> sources,
            const ChunkPlanOptions& options);

  // The next run for `source`, which has none now; nothing: ask again later (or `over`). The run
  // may hold chunks that another source was asked for and has not sent.
  std::optional<ChunkRun> take(std::size_t source, BootTime now);
  // A chunk is verified and stored; `source` gave it.
  void arrived(std::size_t source, std::uint64_t chunk, BootTime now);
  // The run of `source` ended well. What of it did not arrive is missing again.
  void finished(std::size_t source, BootTime now);
  // It ended badly. True if the source is demoted or given up by this, which is worth a line.
  bool failed(std::size_t source, const Error& error, BootTime now);

  // True if `source` fetches nothing but what others brought meanwhile: it should be stopped.
  [[nodiscard]] bool pointless(std::size_t source) const;
  [[nodiscard]] bool complete() const { return left_ == 0; }
  // True once no source may be asked again.
  [[nodiscard]] bool exhausted() const;
  // Nothing more to do: complete, or exhausted while nobody works.
  [[nodiscard]] bool over() const;
  [[nodiscard]] Error summary(const std::string& blob) const;

  // Much slower than the best one, by what arrived of its last run. Such a source, and one that
  // sent wrong bytes, is asked only while no better one is there.
  [[nodiscard]] bool demoted(std::size_t source) const { return sources_[source].demoted; }

 private:
  enum class State : std::uint8_t { kMissing, kAsked, kPresent };
  struct Standing {
    Source source;
    std::optional<ChunkRun> run;
    BootTime since{};
    std::uint64_t run_arrived = 0;
    double chunks_per_second = 0;  // of the last run; 0: not known
    unsigned failures = 0;
    unsigned wrong = 0;
    bool demoted = false;
    bool gone = false;
    BootTime not_before{};
    std::optional<Error> error;
  };

  [[nodiscard]] bool usable(const Standing& standing) const {
    return !standing.gone && standing.failures < options_.attempts;
  }
  [[nodiscard]] bool better_one_waits(std::size_t source, BootTime now) const;
  [[nodiscard]] std::uint64_t run_length(const Standing& standing) const;
  std::optional<ChunkRun> take_missing(Standing& standing);
  std::optional<ChunkRun> take_over(std::size_t source, BootTime now);
  void end_run(std::size_t source, BootTime now);
  void judge_speed(BootTime now);

  ChunkPlanOptions options_;
  std::vector<State> chunks_;
  std::vector<Standing> sources_;
  std::uint64_t left_ = 0;  // chunks that are not present
};

}  // namespace skerry::registry
