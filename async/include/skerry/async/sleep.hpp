#pragma once

// Waiting on the executor of the calling coroutine.

#include <chrono>
#include <exception>

#include "skerry/async/task.hpp"

namespace skerry::async {

// Throws boost::system::system_error(operation_aborted) when the coroutine is cancelled.
Task<void> sleep_for(std::chrono::nanoseconds duration);

// True if `error` says that a coroutine was cancelled: not a failure, never logged above debug,
// never retried.
bool is_cancelled(const std::exception_ptr& error);

}  // namespace skerry::async
