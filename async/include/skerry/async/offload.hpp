#pragma once

// Runs blocking work (SQLite, hashing, fsync) on a small thread pool and resumes the caller on its
// own executor, so that the control thread never waits for a disk.

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "skerry/async/task.hpp"

namespace skerry::async {

namespace detail {

// void becomes a type that can be held.
template <class T>
using Held = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

template <class Function>
struct Work {
  using Value = Held<std::invoke_result_t<Function&>>;
  explicit Work(Function fn) : function(std::move(fn)) {}

  void run() {
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<Function&>>) {
        function();
        value.emplace();
      } else {
        value.emplace(function());
      }
    } catch (...) {
      error = std::current_exception();
    }
  }

  Function function;
  std::optional<Value> value;
  std::exception_ptr error;
};

}  // namespace detail

// `function` runs once on `pool` and cannot be interrupted: when the caller is cancelled it still
// runs to its end and the caller resumes after it. What it throws is rethrown to the caller.
template <class Function>
Task<std::invoke_result_t<Function&>> offload(boost::asio::any_io_executor pool,
                                              Function function) {
  namespace asio = boost::asio;
  auto work = std::make_shared<detail::Work<Function>>(std::move(function));
  auto initiation = [pool, work](auto handler) {
    auto executor = asio::get_associated_executor(handler);
    auto guard = asio::make_work_guard(executor);
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    asio::post(pool, [work, shared, executor, guard = std::move(guard)]() mutable {
      work->run();
      asio::post(executor, [shared, guard = std::move(guard)]() mutable { std::move (*shared)(); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(std::move(initiation),
                                                                       asio::use_awaitable);
  if (work->error) {
    std::rethrow_exception(work->error);
  }
  if constexpr (!std::is_void_v<std::invoke_result_t<Function&>>) {
    co_return std::move(*work->value);
  }
}

}  // namespace skerry::async
