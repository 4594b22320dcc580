#pragma once

// The composition root of skerryd: opens the state, builds the parts in dependency order, runs them
// until one ends or a signal comes, stops them in reverse. `run_daemon` is all that main calls.

#include <filesystem>

#include "skerry/agent/config.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

// Blocks until SIGTERM or SIGINT and a graceful stop, or until a part failed. `config` is read
// again on SIGHUP. `began` is when the process started, for the time to ready.
Result<void> run_daemon(const std::filesystem::path& config,
                        Settings settings,
                        const Environment& environment,
                        const Clock& clock,
                        BootTime began,
                        const Log& log);

}  // namespace skerry::agent
