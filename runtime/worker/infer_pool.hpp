#pragma once

// Serves tensor requests: a queue by priority class and as many threads as the model allows.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/scheduler.hpp"

namespace skerry::runtime {

class InferPool {
 public:
  // `model`, `clock` and what `emit` refers to outlive the pool, which lives as long as the
  // process.
  InferPool(PluginModel& model, const Clock& clock, std::uint32_t max_queued, Scheduler::Emit emit);

  // Thread-safe, never block.
  void submit(RequestKey key, InferRequest request);
  void cancel(RequestKey key);
  [[nodiscard]] bool busy() const;

 private:
  struct Waiting {
    RequestKey key = 0;
    InferRequest request;
    BootTime submitted{0};
  };
  void serve();
  void run(const Waiting& waiting);

  PluginModel& model_;
  const Clock& clock_;
  std::uint32_t max_queued_;
  Scheduler::Emit emit_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::multimap<PriorityClass, Waiting> queue_;  // equal keys keep their order
  std::set<RequestKey> running_;
  std::vector<std::thread> threads_;
};

}  // namespace skerry::runtime
