#pragma once

// Work in progress, watched: names a run for `cancel`, tells the host that the process is alive
// while ONNX Runtime computes, and asks it whether to stop. One thread per runtime; it sleeps
// without a timer when nothing has run for a while, so that an idle worker wakes no core.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "support.hpp"

namespace skerry_onnx {

class Pulse {
 public:
  // Starts the thread; `host` outlives the pulse.
  explicit Pulse(const skerry_host* host);
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

  // Marks work while it lives. A run passes its options, so that it can be told to end.
  class Work {
   public:
    Work(Pulse& pulse, const skerry_model* model, std::uint64_t id, OrtRunOptions* options);
    ~Work();
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    // True if `cancel` named it or the host wants to stop.
    [[nodiscard]] bool cancelled() const;

   private:
    Pulse& pulse_;
    std::uint64_t key_;
  };

  // Ends the run of that model and id, if it is running. Any thread.
  void cancel(const skerry_model* model, std::uint64_t id);
  // Whether the host asked to stop.
  [[nodiscard]] bool should_stop() const;

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    const skerry_model* model = nullptr;
    std::uint64_t id = 0;
    OrtRunOptions* options = nullptr;
    Clock::time_point since;
    bool cancelled = false;
  };

  void loop();
  static void terminate(Entry& entry);

  const skerry_host* host_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool asleep_ = false;
  bool stopping_ = false;
  std::uint64_t next_key_ = 0;
  std::map<std::uint64_t, Entry> entries_;
  std::thread thread_;
};

}  // namespace skerry_onnx
