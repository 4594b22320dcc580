#include "thread_keeper.hpp"

#include <algorithm>
#include <utility>

namespace skerry::runtime {
namespace {

// Twenty-five ticks of the kernel's counters: short enough to notice a neighbour within a second.
constexpr std::chrono::milliseconds kSampleTime{250};

}  // namespace

ThreadKeeper::ThreadKeeper(PluginModel& model,
                           CpuProbe probe,
                           const Clock& clock,
                           const Plan& plan,
                           std::function<void(const std::string&)> warn)
    : model_(model),
      probe_(std::move(probe)),
      clock_(clock),
      warn_(std::move(warn)),
      governor_({.threads = plan.threads}),
      active_(plan.adapt && model.sets_threads()),
      most_threads_(std::max(plan.threads, 1U)) {
  publish();
}

void ThreadKeeper::wake() {
  if (active_) {
    meter_.restart(probe_.read(clock_));
    sampled_ = clock_.boot_now();
  }
}

void ThreadKeeper::after_batch(const BatchFacts& batch) {
  if (!active_) {
    return;
  }
  if (batch.rows == batch.generating) {
    governor_.on_step(batch.rows, batch.time);
  }
  const BootTime now = clock_.boot_now();
  if (now - sampled_ < kSampleTime) {
    return;
  }
  sampled_ = now;
  const auto sample = meter_.sample(probe_.read(clock_));
  if (!sample) {
    return;
  }
  if (governor_.on_sample(*sample)) {
    const ThreadPlan& plan = governor_.plan();
    if (auto set = model_.set_threads(plan.threads, plan.poll); !set) {
      active_ = false;
      warn_("the engine cannot change its threads: " + set.error().message());
    }
  }
  publish();
}

void ThreadKeeper::publish() {
  const std::lock_guard lock{mutex_};
  if (active_) {
    facts_ = {.threads = governor_.plan().threads,
              .most_threads = most_threads_,
              .others = governor_.others(),
              .state = governor_.plan().state};
  } else {
    facts_ = {};
  }
}

CpuFacts ThreadKeeper::facts() const {
  const std::lock_guard lock{mutex_};
  return facts_;
}

}  // namespace skerry::runtime
