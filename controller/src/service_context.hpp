#pragma once

// What the gRPC services share, and how a unary handler leaves gRPC's threads: the work runs on the
// controller's pool, where it may block on the store.

#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "skerry/controller/blob_vault.hpp"
#include "skerry/controller/delta_workshop.hpp"
#include "skerry/controller/enrolment.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/controller/trust_publisher.hpp"

#include "change_hub.hpp"
#include "device_gateway.hpp"
#include "director.hpp"
#include "guard.hpp"
#include "identity.hpp"
#include "rollout_engine.hpp"
#include "status.hpp"

namespace skerry::controller {

// Everything outlives the gRPC server.
struct ServiceContext {
  const Settings& settings;
  const ControllerIdentity& identity;
  Store& store;
  BlobVault& blobs;
  DeltaWorkshop& deltas;
  TrustPublisher& trust;
  Director& director;
  Enrolment& enrolment;
  DeviceGateway& gateway;
  RolloutEngine& rollouts;
  ChangeHub& changes;
  Guard& guard;
  const Clock& clock;
  Random& random;
  FileSystem& fs;
  Log log;
  boost::asio::any_io_executor pool;
};

// Answers with what `work` (a Result of the response) returns; `work` runs once on the pool.
template <class Response, class Work>
grpc::ServerUnaryReactor* answer(ServiceContext& context,
                                 grpc::CallbackServerContext* call,
                                 Response* response,
                                 Work work) {
  auto* reactor = call->DefaultReactor();
  boost::asio::post(context.pool, [reactor, response, work = std::move(work)]() mutable {
    auto result = work();
    if (result) {
      *response = std::move(*result);
      reactor->Finish(grpc::Status::OK);
    } else {
      reactor->Finish(to_status(result.error()));
    }
  });
  return reactor;
}

struct DeviceCaller {
  DeviceRecord device;
  Caller caller;
};

// A client whose certificate is that of an enrolled device that was not revoked.
Result<DeviceCaller> identify_device(ServiceContext& context, const grpc::ServerContextBase& call);
Result<DeviceRecord> device_of(ServiceContext& context, const grpc::ServerContextBase& call);
// The device as the director sees it.
DirectedDevice directed_device(const DeviceRecord& device);

}  // namespace skerry::controller
