#pragma once

// Lets coroutines of one executor wait until something changed. `notify` wakes all who wait; a
// notification that nobody waits for is not kept, so wait in a loop on the condition itself.

#include <chrono>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "skerry/async/task.hpp"

namespace skerry::agent {

class Notifier {
 public:
  explicit Notifier(const boost::asio::any_io_executor& executor);
  void notify() { timer_.cancel(); }
  // Throws operation_aborted when the calling coroutine is cancelled.
  Task<void> wait();
  // Returns after `limit` at the latest.
  Task<void> wait_for(std::chrono::nanoseconds limit);

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace skerry::agent
