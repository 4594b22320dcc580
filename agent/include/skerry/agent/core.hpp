#pragma once

// What every part of the daemon is given: the executors, the seams, the current settings. Made by
// the composition root, outlives everything that refers to it.
//
// All agent logic runs on `control` (one thread), so it needs no locks; blocking work goes to
// `disk` (short: SQLite, fsync) or `transfer` (long: fetching, hashing).

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/agent/config.hpp"
#include "skerry/async/task_group.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/random.hpp"

namespace skerry::agent {

struct Core {
  boost::asio::any_io_executor control;
  boost::asio::any_io_executor disk;
  // Made when it is first needed: a gateway without a controller has no transfer threads.
  std::function<boost::asio::any_io_executor()> transfer;
  const Clock& clock;
  FileSystem& fs;
  Random& random;
  Log log;
  // Replaced on SIGHUP.
  std::shared_ptr<const Settings> settings;
  // Dynamic work: one task per call, connection, load. Stopped before anything it uses goes.
  async::TaskGroup& tasks;
};

}  // namespace skerry::agent
