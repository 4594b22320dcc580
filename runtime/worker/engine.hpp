#pragma once

// The engine thread: loads the model, then feeds the scheduler with what arrives and runs it. All
// `step` calls of the plugin happen here.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "skerry/common/clock.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/scheduler.hpp"

#include "channel.hpp"
#include "infer_pool.hpp"
#include "remote_tier.hpp"
#include "thread_keeper.hpp"

namespace skerry::runtime {

// Shared with the plugin through HostServices.
struct EngineSignals {
  std::atomic<std::uint64_t> progress{0};
  std::atomic<bool> stop{false};
};

class Engine {
 public:
  // `plugin`, `channel` and `signals` live as long as the process.
  Engine(Plugin& plugin, Channel& channel, EngineSignals& signals, CpuProbe probe);

  // Runs `work` on the engine thread; counts as busy until it is done.
  void post(std::function<void()> work);
  struct Plan {
    PluginLoad load;
    std::uint32_t max_queued = 0;
    bool adapt_threads = true;
    std::chrono::milliseconds inter_token_target{0};  // 0: the scheduler's default
    bool prefix_cache = true;
    std::uint32_t kept_tokens = 0;  // of idle prefixes; 0: as many as fit
    // Of the largest state of a prefix that the supervisor keeps; 0: it keeps none.
    std::uint64_t state_limit = 0;
    bool drafting = false;
    std::vector<PinnedPrompt> prompts{};
  };
  // Loads on the engine thread and answers Loaded or Failed. `files` stay open for good.
  void load(Plan plan, std::vector<UniqueFd> files);
  void submit(RequestKey key, Request request);
  void cancel(RequestKey key);
  // The supervisor's words about the second tier of the prefix cache.
  void prefix_answered(const worker::v1::PrefixAnswer& answer, UniqueFd fd);
  void prefix_taken();
  [[nodiscard]] bool busy() const;
  // Of a model with scheduled steps, else zeros.
  [[nodiscard]] CpuFacts cpu_facts() const;

 private:
  void run();
  void rest(std::unique_lock<std::mutex>& lock);
  void load_now(const Plan& plan);
  void emit(RequestKey key, Event event);
  void report_prompts();

  Plugin& plugin_;
  Channel& channel_;
  EngineSignals& signals_;
  SystemClock clock_;
  CpuProbe probe_;
  std::vector<UniqueFd> files_;

  // Owned by the engine thread once made; `published_` lets the others see them.
  std::unique_ptr<PluginModel> model_;
  std::unique_ptr<RemoteTier> tier_;
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<ThreadKeeper> keeper_;
  std::unique_ptr<InferPool> pool_;
  std::atomic<bool> published_{false};
  std::size_t reported_ = 0;  // the scheduler's `pin_changes` at the last report

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> commands_;
  std::atomic<bool> at_work_{false};
  std::atomic<std::uint32_t> running_{0};
  std::thread thread_;
};

}  // namespace skerry::runtime
