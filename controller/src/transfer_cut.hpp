#pragma once

// The way to end transfers that are running: shared by the gateway, which cuts, and the transfers
// of one device. A transfer asks before each message, and leaves word how to end it should its
// device take nothing. Thread-safe.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace skerry::controller {

class TransferCut {
 public:
  [[nodiscard]] bool is_cut() const { return cut_.load(); }

  // `on_cut` is called by `cut`, once, on its thread, and may be called after `forget`: it must not
  // block and holds what it needs. Returns the number to forget it by; at once called if it is cut.
  std::uint64_t watch(std::function<void()> on_cut) {
    {
      const std::lock_guard lock{mutex_};
      if (!cut_) {
        watchers_.emplace(++serial_, std::move(on_cut));
        return serial_;
      }
    }
    on_cut();
    return 0;
  }

  void forget(std::uint64_t number) {
    const std::lock_guard lock{mutex_};
    watchers_.erase(number);
  }

  void cut() {
    std::map<std::uint64_t, std::function<void()>> called;
    {
      const std::lock_guard lock{mutex_};
      cut_ = true;
      called.swap(watchers_);
    }
    for (const auto& [number, on_cut] : called) {
      on_cut();
    }
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> cut_{false};
  std::uint64_t serial_ = 0;
  std::map<std::uint64_t, std::function<void()>> watchers_;
};

}  // namespace skerry::controller
