#pragma once

// How a daemon composes its long-lived components. The stock `&&` and `||` of Asio hide failures:
// the first waits for every task although one failed, the second reports success.

#include <vector>

#include "skerry/async/task.hpp"

namespace skerry::async {

// Runs every task until one ends, cancels the rest, waits for them all, then rethrows what the
// first one to end threw. Returns normally if that one ended normally.
Task<void> run_until_first_exit(std::vector<Task<void>> tasks);

}  // namespace skerry::async
