#pragma once

// Decides how many threads a worker computes with and whether they may poll, from what else the
// machine does: a gateway runs other things. Engines meet at a barrier many times a token and spin
// there, so one thread without a core of its own holds up all the others; the rule is therefore no
// more threads than there are cores left. Sans-I/O; the worker's engine thread feeds it and applies
// what it says between two batches. ADR 0097.

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>

#include "skerry/common/clock.hpp"

#include "cpu_meter.hpp"

namespace skerry::runtime {

// Why there are as many threads as there are.
enum class CpuState : std::uint8_t {
  kQuiet = 0,   // every core that we may use is ours
  kShared = 1,  // others run beside us
  kCapped = 2,  // a quota or the affinity allows no more
  kSlow = 3,    // own steps became slow and nothing shows why
};

std::string_view to_string(CpuState state) noexcept;

struct ThreadPlan {
  std::uint32_t threads = 1;
  // 0: a thread with nothing to do sleeps; above: it looks for work so long before it does.
  std::uint32_t poll = 0;
  CpuState state = CpuState::kQuiet;

  friend bool operator==(const ThreadPlan&, const ThreadPlan&) = default;
};

class ThreadGovernor {
 public:
  struct Options {
    std::uint32_t threads = 1;  // the most
    // Long enough to span the pause between two tokens, a few milliseconds; not worth a neighbour.
    std::uint32_t quiet_poll = 2;
    // More threads only after the machine was quiet so long; doubled, up to the longest, each time
    // that it turned out to be wrong within `regret`.
    std::chrono::nanoseconds patience{std::chrono::seconds{2}};
    std::chrono::nanoseconds longest_patience{std::chrono::seconds{60}};
    std::chrono::nanoseconds regret{std::chrono::seconds{3}};
  };

  explicit ThreadGovernor(const Options& options);

  [[nodiscard]] const ThreadPlan& plan() const { return plan_; }
  // Others' load as it is judged at present, in cores; 0 while unknown.
  [[nodiscard]] double others() const { return others_; }

  // A batch of `rows` rows that only generated took `time` with the present plan.
  void on_step(std::size_t rows, std::chrono::nanoseconds time);
  // True: the plan has changed.
  bool on_sample(const CpuSample& sample);

 private:
  // Own step times by (threads, rows), which decide what a batch of generation costs.
  struct Pace {
    double quiet = 0;  // seconds, usual while nobody disturbs; 0: not known
    double now = 0;    // seconds, of late
    std::uint32_t count = 0;
  };

  [[nodiscard]] std::uint32_t cap(const CpuSample& sample) const;
  void judge(const CpuSample& sample);
  [[nodiscard]] bool slow() const;
  [[nodiscard]] bool in_vain() const;
  void learn();
  [[nodiscard]] CpuState settled(std::uint32_t threads,
                                 bool quiet,
                                 bool limited,
                                 std::uint32_t most) const;
  bool relax(std::uint32_t threads, CpuState state, BootTime now);
  bool move_to(std::uint32_t threads, CpuState state, BootTime now);

  Options options_;
  ThreadPlan plan_;
  double others_ = 0;
  bool known_ = false;  // `others_` rests on a sample
  BootTime last_{0};    // previous sample
  BootTime calm_since_{0};
  bool calm_ = false;   // room for one thread more
  BootTime raised_{0};  // when the last thread was added
  bool on_trial_ = false;
  std::chrono::nanoseconds patience_;
  std::map<std::pair<std::uint32_t, std::size_t>, Pace> paces_;
  std::size_t last_rows_ = 0;
  std::uint32_t slow_samples_ = 0;
};

}  // namespace skerry::runtime
