#pragma once

// The worker's side of the protocol (proto/skerry/worker/v1/worker.proto): takes one message after
// another until the supervisor says stop or goes away.

#include <memory>
#include <vector>

#include "skerry/runtime/plugin_host.hpp"

#include "channel.hpp"
#include "engine.hpp"
#include "process.hpp"

namespace skerry::runtime {

class Session {
 public:
  Session(Channel& channel, const ProcessMemory& memory) : channel_(channel), memory_(memory) {}

  // False: it is time to end, with `status`.
  bool handle(Received received, int& status);

 private:
  Result<void> set_up(const worker::v1::Setup& setup, std::vector<UniqueFd> files);
  Result<void> load(const worker::v1::Load& load, std::vector<UniqueFd> files);
  Result<void> submit(worker::v1::Submit& submit);
  Result<void> quantize(const worker::v1::Quantize& job);
  void answer(const worker::v1::Ping& ping);
  HostServices services();

  Channel& channel_;
  const ProcessMemory& memory_;
  EngineSignals signals_;
  std::unique_ptr<Plugin> plugin_;
  std::unique_ptr<Engine> engine_;
  std::vector<UniqueFd> setup_files_;
  bool loading_ = false;
};

}  // namespace skerry::runtime
