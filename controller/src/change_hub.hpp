#pragma once

// Who wants to know that a rollout changed: the watchers of WatchRollout. Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace skerry::controller {

class ChangeHub {
 public:
  using Listener = std::function<void()>;

  // `listener` is called on the notifying thread and must not block. Returns the number to
  // unsubscribe with.
  std::uint64_t subscribe(const std::string& key, Listener listener) {
    const std::lock_guard lock{mutex_};
    listeners_[++serial_] = {key, std::move(listener)};
    return serial_;
  }

  void unsubscribe(std::uint64_t number) {
    const std::lock_guard lock{mutex_};
    listeners_.erase(number);
  }

  void notify(const std::string& key) {
    std::vector<Listener> called;
    {
      const std::lock_guard lock{mutex_};
      for (const auto& [number, entry] : listeners_) {
        if (entry.first == key) {
          called.push_back(entry.second);
        }
      }
    }
    for (const auto& listener : called) {
      listener();
    }
  }

 private:
  std::mutex mutex_;
  std::uint64_t serial_ = 0;
  std::map<std::uint64_t, std::pair<std::string, Listener>> listeners_;
};

}  // namespace skerry::controller
