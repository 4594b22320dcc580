#pragma once

// Keeps a model's compute threads in step with what the rest of the machine does: samples the
// processor while the engine works, asks the governor, tells the plugin. On the engine thread; an
// idle worker is not sampled and costs nothing.

#include <functional>
#include <mutex>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/scheduler.hpp"

#include "cpu_probe.hpp"
#include "thread_governor.hpp"

namespace skerry::runtime {

// What the supervisor is told.
struct CpuFacts {
  std::uint32_t threads = 0;  // 0: not known, the engine keeps its own
  std::uint32_t most_threads = 0;
  double others = 0;
  CpuState state = CpuState::kQuiet;
};

class ThreadKeeper {
 public:
  struct Plan {
    std::uint32_t threads = 1;
    bool adapt = true;
  };
  // `model` and `clock` outlive it. `warn` takes one line, called at most once.
  ThreadKeeper(PluginModel& model,
               CpuProbe probe,
               const Clock& clock,
               const Plan& plan,
               std::function<void(const std::string&)> warn);

  // Work begins after a pause.
  void wake();
  // After each batch.
  void after_batch(const BatchFacts& batch);
  // Any thread.
  [[nodiscard]] CpuFacts facts() const;

 private:
  void publish();

  PluginModel& model_;
  CpuProbe probe_;
  const Clock& clock_;
  std::function<void(const std::string&)> warn_;
  CpuMeter meter_;
  ThreadGovernor governor_;
  BootTime sampled_{0};
  bool active_;
  std::uint32_t most_threads_;
  mutable std::mutex mutex_;
  CpuFacts facts_;
};

}  // namespace skerry::runtime
