#pragma once

// Work that is split over threads for the time of one call: hashing, copying, coding.

#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace skerry::registry {

// Calls `work(i)` for each i below `count` and returns when all have ended: `work(0)` here, the
// others on threads of their own. Where the system gives no more threads, the rest runs here after
// `work(0)`. `work` must not throw.
template <typename Work>
void on_threads(std::size_t count, const Work& work) {
  if (count == 0) {
    return;
  }
  std::vector<std::thread> threads;
  std::size_t next = 1;
  try {
    threads.reserve(count - 1);
    for (; next < count; ++next) {
      threads.emplace_back([&work, next] { work(next); });
    }
  } catch (const std::system_error&) {
    // What is left is done below.
  }
  work(0);
  for (; next < count; ++next) {
    work(next);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

}  // namespace skerry::registry
