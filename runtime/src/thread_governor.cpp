#include "thread_governor.hpp"

#include <algorithm>
#include <cmath>

namespace skerry::runtime {
namespace {

// Samples of a moment weigh less than those of a second.
constexpr double kSmoothing = 0.6;  // seconds
// A longer pause says nothing about now: judge afresh.
constexpr double kStale = 5;  // seconds
// A thread needs about two thirds of a core to be worth its barriers, and more before it is added.
constexpr double kEnoughToStay = 0.65;
constexpr double kEnoughToJoin = 0.80;
// Below this others are the usual small things of a machine, ourselves talking to clients included.
constexpr double kQuietLoad = 0.25;
// Without figures of others' load, pressure stands for one core that is wanted twice.
constexpr double kHighPressure = 0.30;
constexpr double kLowPressure = 0.10;
// Steps that take so much longer than they used to are slow.
constexpr double kSlowFactor = 1.6;
constexpr std::uint32_t kSlowSamples = 3;
constexpr double kWorthIt = 0.95;
constexpr std::uint32_t kLearnedSteps = 8;
// Batches of more rows than this are all alike for the governor.
constexpr std::size_t kMostRows = 16;

std::uint32_t whole(double cores) {
  return static_cast<std::uint32_t>(std::max(std::floor(cores), 1.0));
}

}  // namespace

std::string_view to_string(CpuState state) noexcept {
  switch (state) {
    case CpuState::kQuiet:
      return "quiet";
    case CpuState::kShared:
      return "shared";
    case CpuState::kCapped:
      return "capped";
    case CpuState::kSlow:
      break;
  }
  return "slow";
}

ThreadGovernor::ThreadGovernor(const Options& options)
    : options_(options), patience_(options.patience) {
  options_.threads = std::max(options_.threads, 1U);
  plan_.threads = options_.threads;
}

void ThreadGovernor::on_step(std::size_t rows, std::chrono::nanoseconds time) {
  if (rows == 0) {
    return;
  }
  last_rows_ = std::min(rows, kMostRows);
  Pace& pace = paces_[{plan_.threads, last_rows_}];
  const double seconds = std::chrono::duration<double>(time).count();
  ++pace.count;
  pace.now = pace.count == 1 ? seconds : 0.7 * pace.now + 0.3 * seconds;
}

// What a step costs when nobody disturbs: taken over at once if faster, slowly if slower, since
// steps slow down honestly as contexts grow.
void ThreadGovernor::learn() {
  const auto found = paces_.find({plan_.threads, last_rows_});
  if (found == paces_.end() || found->second.count < kLearnedSteps || slow()) {
    return;
  }
  Pace& pace = found->second;
  pace.quiet =
      pace.quiet == 0 || pace.now < pace.quiet ? pace.now : 0.9 * pace.quiet + 0.1 * pace.now;
}

bool ThreadGovernor::slow() const {
  const auto found = paces_.find({plan_.threads, last_rows_});
  return found != paces_.end() && found->second.quiet > 0 &&
         found->second.now > kSlowFactor * found->second.quiet;
}

// A thread was given up because steps were slow. If they are no faster without it, they are slow
// for a reason of their own, a long context for one: that is usual from now on.
bool ThreadGovernor::in_vain() const {
  if (plan_.state != CpuState::kSlow) {
    return false;
  }
  const auto before = paces_.find({plan_.threads + 1, last_rows_});
  const auto after = paces_.find({plan_.threads, last_rows_});
  return before != paces_.end() && after != paces_.end() && after->second.count >= kLearnedSteps &&
         after->second.now > kWorthIt * before->second.now;
}

// Rounds a quota down: a thread that is throttled holds up the rest of the period.
std::uint32_t ThreadGovernor::cap(const CpuSample& sample) const {
  std::uint32_t most = std::min(options_.threads, std::max(sample.cores, 1U));
  if (sample.quota) {
    most = std::min(most, whole(*sample.quota + 0.01));
  }
  return most;
}

void ThreadGovernor::judge(const CpuSample& sample) {
  double load = 0;
  if (sample.others) {
    load = *sample.others;
  } else if (sample.pressure) {
    load = *sample.pressure > kHighPressure ? 1.0 : *sample.pressure > kLowPressure ? 0.5 : 0.0;
  } else {
    return;
  }
  const double weight =
      known_ && sample.seconds < kStale ? 1.0 - std::exp(-sample.seconds / kSmoothing) : 1.0;
  others_ += weight * (load - others_);
  known_ = true;
}

bool ThreadGovernor::move_to(std::uint32_t threads, CpuState state, BootTime now) {
  ThreadPlan next;
  next.threads = threads;
  next.state = state;
  next.poll = state == CpuState::kQuiet && threads > 1 ? options_.quiet_poll : 0;
  if (threads > plan_.threads) {
    raised_ = now;
    on_trial_ = true;
  } else if (threads < plan_.threads) {
    if (on_trial_) {
      patience_ = std::min(patience_ * 2, options_.longest_patience);
    }
    on_trial_ = false;
    calm_ = false;
  }
  if (next.threads != plan_.threads) {
    slow_samples_ = 0;
    for (auto& [key, pace] : paces_) {
      if (key.first == next.threads) {
        pace.count = 0;  // `now` starts anew
      }
    }
  }
  const bool changed = next != plan_;
  plan_ = next;
  return changed;
}

CpuState ThreadGovernor::settled(std::uint32_t threads,
                                 bool quiet,
                                 bool limited,
                                 std::uint32_t most) const {
  if (plan_.state == CpuState::kSlow && threads == plan_.threads && threads < most) {
    return CpuState::kSlow;
  }
  if (limited && (quiet || threads == most)) {
    return CpuState::kCapped;
  }
  return quiet && threads == most ? CpuState::kQuiet : CpuState::kShared;
}

// One thread more, or polling again, once it has been calm for long enough.
bool ThreadGovernor::relax(std::uint32_t threads, CpuState state, BootTime now) {
  if (!calm_) {
    calm_ = true;
    calm_since_ = now;
  }
  if (now - calm_since_ < patience_) {
    return false;
  }
  calm_ = false;
  return move_to(threads, state, now);
}

bool ThreadGovernor::on_sample(const CpuSample& sample) {
  judge(sample);
  const std::uint32_t most = cap(sample);
  // Others' load counts against the cores, not against a quota, which is ours whatever they do.
  const double free = static_cast<double>(sample.cores) - others_;
  const std::uint32_t stay = std::min(most, whole(free + 1 - kEnoughToStay));
  const std::uint32_t join = std::min(most, whole(free + 1 - kEnoughToJoin));
  const bool quiet = others_ < kQuietLoad && !sample.throttled;
  const bool limited = sample.throttled || most < options_.threads;

  if (!known_ && !limited) {
    return false;
  }
  if (on_trial_ && sample.at - raised_ >= options_.regret) {
    on_trial_ = false;
    patience_ = options_.patience;
  }
  if (quiet) {
    learn();
  }
  slow_samples_ = slow() ? slow_samples_ + 1 : 0;

  if (plan_.threads > stay) {
    return move_to(stay, settled(stay, quiet, limited, most), sample.at);
  }
  if (slow_samples_ >= kSlowSamples && plan_.threads > 1 && quiet) {
    // Something that the counters do not show: another machine on the same cores, a hot processor.
    on_trial_ = true;
    return move_to(plan_.threads - 1, CpuState::kSlow, sample.at);
  }
  if (in_vain() && plan_.threads < join) {
    Pace& pace = paces_[{plan_.threads + 1, last_rows_}];
    pace.quiet = pace.now;
    const std::uint32_t back = plan_.threads + 1;
    move_to(back, settled(back, quiet, limited, most), sample.at);
    on_trial_ = false;
    patience_ = options_.patience;
    return true;
  }
  if (plan_.threads < join) {
    const std::uint32_t next = plan_.threads + 1;
    return relax(next, settled(next, quiet, limited, most), sample.at);
  }
  const CpuState state = settled(plan_.threads, quiet, limited, most);
  if (state == CpuState::kQuiet && plan_.state != CpuState::kQuiet) {
    return relax(plan_.threads, state, sample.at);
  }
  calm_ = false;
  return move_to(plan_.threads, state, sample.at);
}

}  // namespace skerry::runtime
