#pragma once

// The two local gRPC servers: api.sock for apps, admin.sock for administrators. Sockets are
// accepted here (the peer's credentials are read at once) and handed to gRPC by descriptor.

#include <memory>

#include "skerry/agent/administration.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/agent/import_administration.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/link_keeper.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/agent/security_targets.hpp"
#include "skerry/agent/upstreams.hpp"
#include "skerry/async/task.hpp"

namespace skerry::agent {

// What status shows besides the administration's own parts.
struct StatusSources {
  WallTime started_at{};
  std::function<std::chrono::microseconds()> ready;
  std::function<SyncState()> sync;
  std::function<OutboxStatus()> outbox;
  std::function<DeviceTime::State()> clock;
  // Outlives the front.
  const SecurityTargets* security = nullptr;
  std::function<LinkState()> link;
  std::function<std::uint64_t()> served_to_peers;
  std::function<std::vector<upstream::EndpointView>()> upstreams;
  std::function<PrefixDiskGauges()> prefix_disk;
};

class GrpcFront {
 public:
  GrpcFront(Core& core,
            Inference& inference,
            Access& access,
            ModelHost& host,
            Administration& administration,
            ImportAdministration& imports,
            StatusSources sources);
  ~GrpcFront();

  // Binds both sockets and starts the servers. Everything that handlers need must be ready.
  Result<void> start();
  // Accepts until cancelled.
  Task<void> run();
  // grpc.health.v1: which models are there; NOT_SERVING for all while draining.
  void update_health();
  // No new calls; running ones get until `grace`, then they are cancelled. Waits.
  Task<void> stop(std::chrono::milliseconds grace);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent
