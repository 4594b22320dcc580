#pragma once

// What the service manager is told (sd_notify) and the signals that it sends.

#include <functional>
#include <string>

#include "skerry/async/task.hpp"
#include "skerry/common/log.hpp"

namespace skerry::agent {

void notify_ready();
void notify_stopping();
void notify_reloading(std::uint64_t monotonic_us);
void notify_status(const std::string& line);

// Feeds the watchdog from the calling thread; returns at once (waits for ever) if there is none.
Task<void> run_watchdog();

// Calls `reload` on SIGHUP; returns on SIGTERM or SIGINT.
Task<void> run_signals(std::function<void()> reload, Log log);

}  // namespace skerry::agent
