#include "chunk_plan.hpp"

#include <algorithm>

namespace skerry::registry {
namespace {

// The first run of a source, to learn its speed.
constexpr std::uint64_t kFirstRun = 4;
// Later ones last about so long.
constexpr double kRunSeconds = 2.0;
// A source this many times slower than the best is demoted.
constexpr double kSlow = 8.0;
// So long a source may be silent before another takes its run over.
constexpr double kSilentSeconds = 1.0;
constexpr std::chrono::milliseconds kLongestWait = std::chrono::minutes{1};

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

ChunkPlan::ChunkPlan(std::uint64_t chunks,
                     const std::vector<ChunkRun>& missing,
                     std::vector<Source> sources,
                     const ChunkPlanOptions& options)
    : options_(options), chunks_(chunks, State::kPresent) {
  for (const auto& run : missing) {
    for (std::uint64_t chunk = run.first; chunk < run.first + run.count; ++chunk) {
      chunks_[chunk] = State::kMissing;
      ++left_;
    }
  }
  for (auto& source : sources) {
    Standing standing;
    standing.source = std::move(source);
    sources_.push_back(std::move(standing));
  }
}

bool ChunkPlan::better_one_waits(std::size_t source, BootTime now) const {
  const auto& mine = sources_[source];
  return std::any_of(sources_.begin(), sources_.end(), [&](const Standing& other) {
    // One that fails just now, or does not answer, is not waited for.
    const bool silent =
        other.run && other.run_arrived == 0 && seconds(now - other.since) > kSilentSeconds;
    if (&other == &mine || !usable(other) || other.demoted || other.failures > 0 || silent) {
      return false;
    }
    const bool nearer = options_.prefer_site && other.source.reach == SourceReach::kSite &&
                        mine.source.reach == SourceReach::kLink;
    return mine.demoted || nearer;
  });
}

std::uint64_t ChunkPlan::run_length(const Standing& standing) const {
  if (standing.demoted) {
    return 1;
  }
  const auto working = std::count_if(
      sources_.begin(), sources_.end(), [this](const Standing& one) { return usable(one); });
  // Alone there is nobody to share with, and every request costs a round trip.
  if (working <= 1) {
    return options_.max_run;
  }
  const auto by_speed = standing.chunks_per_second == 0
                            ? kFirstRun
                            : static_cast<std::uint64_t>(standing.chunks_per_second * kRunSeconds);
  // Towards the end the runs become short, so that all end together.
  const auto share = left_ / (2 * static_cast<std::uint64_t>(working));
  return std::clamp<std::uint64_t>(std::min(by_speed, share), 1, options_.max_run);
}

std::optional<ChunkRun> ChunkPlan::take_missing(Standing& standing) {
  const auto first = std::find(chunks_.begin(), chunks_.end(), State::kMissing);
  if (first == chunks_.end()) {
    return std::nullopt;
  }
  const auto longest = run_length(standing);
  auto last = first;
  while (last != chunks_.end() && *last == State::kMissing &&
         static_cast<std::uint64_t>(last - first) < longest) {
    *last++ = State::kAsked;
  }
  return ChunkRun{static_cast<std::uint64_t>(first - chunks_.begin()),
                  static_cast<std::uint64_t>(last - first)};
}

// The end of what the slowest of the others was asked for and has not sent.
std::optional<ChunkRun> ChunkPlan::take_over(std::size_t source, BootTime now) {
  std::optional<ChunkRun> best;
  double longest = 0;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const auto& other = sources_[i];
    if (i == source || !other.run) {
      continue;
    }
    auto end = other.run->first + other.run->count;
    while (end > other.run->first && chunks_[end - 1] == State::kPresent) {
      --end;
    }
    auto begin = end;
    while (begin > other.run->first && chunks_[begin - 1] == State::kAsked) {
      --begin;
    }
    const auto running = seconds(now - other.since);
    const auto rate = static_cast<double>(other.run_arrived) / std::max(running, 0.001);
    const auto expected =
        other.run_arrived == 0 ? running : static_cast<double>(end - begin) / rate;
    if (begin == end || running < kSilentSeconds || expected <= longest) {
      continue;
    }
    longest = expected;
    best = ChunkRun{begin + (end - begin) / 2, end - begin - (end - begin) / 2};
  }
  const auto mine = sources_[source].chunks_per_second;
  if (best && mine > 0 && longest < 2.0 * static_cast<double>(best->count) / mine) {
    return std::nullopt;  // it will be there before this one could bring it
  }
  return best;
}

std::optional<ChunkRun> ChunkPlan::take(std::size_t source, BootTime now) {
  auto& standing = sources_[source];
  if (!usable(standing) || standing.run || now < standing.not_before || complete()) {
    return std::nullopt;
  }
  judge_speed(now);
  if (better_one_waits(source, now)) {
    return std::nullopt;
  }
  auto run = take_missing(standing);
  if (!run) {
    run = take_over(source, now);
  }
  if (run) {
    standing.run = run;
    standing.since = now;
    standing.run_arrived = 0;
  }
  return run;
}

void ChunkPlan::arrived(std::size_t source, std::uint64_t chunk, BootTime) {
  if (chunks_[chunk] != State::kPresent) {
    chunks_[chunk] = State::kPresent;
    --left_;
  }
  ++sources_[source].run_arrived;
  sources_[source].failures = 0;
}

void ChunkPlan::end_run(std::size_t source, BootTime now) {
  auto& standing = sources_[source];
  if (!standing.run) {
    return;
  }
  const auto took = seconds(now - standing.since);
  if (standing.run_arrived > 0) {
    standing.chunks_per_second = static_cast<double>(standing.run_arrived) / std::max(took, 0.001);
  }
  const ChunkRun run = *standing.run;
  standing.run.reset();
  for (std::uint64_t chunk = run.first; chunk < run.first + run.count; ++chunk) {
    const bool asked_twice = std::any_of(sources_.begin(), sources_.end(), [&](const auto& other) {
      return other.run && chunk >= other.run->first && chunk - other.run->first < other.run->count;
    });
    if (chunks_[chunk] == State::kAsked && !asked_twice) {
      chunks_[chunk] = State::kMissing;
    }
  }
}

void ChunkPlan::finished(std::size_t source, BootTime now) {
  end_run(source, now);
  sources_[source].failures = 0;
}

bool ChunkPlan::failed(std::size_t source, const Error& error, BootTime now) {
  auto& standing = sources_[source];
  end_run(source, now);
  const bool was_usable = usable(standing);
  const bool was_demoted = standing.demoted;
  ++standing.failures;
  standing.error = error;
  if (error.code() == Error::Code::kDigestMismatch) {
    ++standing.wrong;
    standing.demoted = true;
  }
  standing.gone = standing.gone || standing.wrong >= options_.attempts ||
                  error.code() == Error::Code::kNotFound ||
                  error.code() == Error::Code::kResourceExhausted;
  auto wait = options_.retry_wait;
  for (unsigned i = 1; i < standing.failures && wait < kLongestWait; ++i) {
    wait *= 2;
  }
  standing.not_before = now + std::min(wait, kLongestWait);
  return (was_usable && !usable(standing)) || standing.demoted != was_demoted;
}

void ChunkPlan::judge_speed(BootTime now) {
  const auto rate_of = [&](const Standing& standing) {
    if (standing.run) {
      const auto running = seconds(now - standing.since);
      if (running >= kSilentSeconds) {
        return std::max(static_cast<double>(standing.run_arrived) / running, 1e-6);
      }
    }
    return standing.chunks_per_second;
  };
  double best = 0;
  for (const auto& standing : sources_) {
    best = usable(standing) ? std::max(best, rate_of(standing)) : best;
  }
  for (auto& standing : sources_) {
    const auto rate = rate_of(standing);
    if (rate > 0 && standing.wrong == 0) {
      standing.demoted = rate * kSlow < best;
    }
  }
}

bool ChunkPlan::pointless(std::size_t source) const {
  const auto& run = sources_[source].run;
  if (!run) {
    return false;
  }
  const auto first = chunks_.begin() + static_cast<std::ptrdiff_t>(run->first);
  return std::all_of(first, first + static_cast<std::ptrdiff_t>(run->count), [](State state) {
    return state == State::kPresent;
  });
}

bool ChunkPlan::exhausted() const {
  return std::none_of(
      sources_.begin(), sources_.end(), [this](const Standing& one) { return usable(one); });
}

bool ChunkPlan::over() const {
  return complete() ||
         (exhausted() && std::none_of(sources_.begin(), sources_.end(), [](const Standing& one) {
            return one.run.has_value();
          }));
}

Error ChunkPlan::summary(const std::string& blob) const {
  std::string text = "blob " + blob + " could not be fetched";
  std::optional<Error::Code> code;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const auto& error = sources_[i].error;
    text += (i == 0 ? ": " : "; ") + sources_[i].source.name + ": " +
            (error ? error->message() : "not asked");
    // "Not found" says least: it stands only if every answer was that.
    if (error && (!code || *code == Error::Code::kNotFound)) {
      code = error->code();
    }
  }
  return {code.value_or(Error::Code::kUnavailable), std::move(text)};
}

}  // namespace skerry::registry
