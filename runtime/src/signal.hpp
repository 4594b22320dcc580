#pragma once

// Lets coroutines wait until another one on the same executor says that something has changed.

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "skerry/async/task.hpp"

namespace skerry::runtime {

class Signal {
 public:
  using TimePoint = boost::asio::steady_timer::time_point;

  explicit Signal(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Wakes all who wait now.
  void notify() {
    for (boost::asio::steady_timer* waiter : waiters_) {
      waiter->cancel();
    }
  }
  // Returns after a notify, at the limit, or early for no reason: callers look at their condition
  // again. After a cancellation the next wait throws operation_aborted.
  Task<void> wait() { return wait_until(TimePoint::max()); }
  Task<void> wait_until(TimePoint limit) {
    boost::asio::steady_timer timer(executor_, limit);
    const Registration registration(waiters_, timer);
    constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
    co_await timer.async_wait(kToken);
  }

 private:
  using Waiters = std::vector<boost::asio::steady_timer*>;
  class Registration {
   public:
    Registration(Waiters& waiters, boost::asio::steady_timer& timer)
        : waiters_(waiters), timer_(timer) {
      waiters_.push_back(&timer_);
    }
    ~Registration() { std::erase(waiters_, &timer_); }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    Waiters& waiters_;
    boost::asio::steady_timer& timer_;
  };

  boost::asio::any_io_executor executor_;
  Waiters waiters_;
};

}  // namespace skerry::runtime
