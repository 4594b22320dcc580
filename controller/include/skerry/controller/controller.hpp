#pragma once

// The whole controller as one object: the program makes one from its settings, tests and benches
// run it inside their own process. It owns store, blobs, keys, the gRPC server and the timers.

#include <cstdint>
#include <memory>
#include <string>

#include "skerry/async/task.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/random.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/settings.hpp"

namespace skerry::controller {

class Controller {
 public:
  // Opens (at first start: makes) the state and listens; calls are answered from then on. The
  // referred objects must outlive the controller. Blocks.
  static Result<std::unique_ptr<Controller>> start(
      Settings settings, FileSystem& fs, const Clock& clock, Random& random, Log log);
  // Stops if `stop` was not called.
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // The port that was chosen where the settings say 0.
  [[nodiscard]] int port() const;
  // True if this start made the certificate authority.
  [[nodiscard]] bool first_start() const;

  // The periodic work: open rollouts, the timestamp, last-seen times, retention, audit checkpoints.
  // Runs until it is cancelled.
  Task<void> run();

  // Reads the policy file again and takes it if it is newer. kPolicyInvalid, kRollback.
  Result<void> reload_policy();

  // Ends the connections with UNAVAILABLE, waits for calls under way (`server.drain`), closes the
  // store. Blocks. May be called once.
  void stop();

 private:
  struct Impl;
  explicit Controller(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::controller
