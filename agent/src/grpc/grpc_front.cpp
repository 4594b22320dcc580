#include "skerry/agent/grpc_front.hpp"

#include <set>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_posix.h>

#include "skerry/agent/peer_table.hpp"
#include "skerry/agent/unix_listener.hpp"
#include "skerry/async/offload.hpp"
#include "skerry/async/run_until_first_exit.hpp"

#include "admin_grpc.hpp"
#include "imports_grpc.hpp"
#include "inference_grpc.hpp"
#include "kserve_grpc.hpp"
#include "models_grpc.hpp"

namespace skerry::agent {
namespace {

// Descriptor numbers of accepted sockets; below are the daemon's own files.
constexpr int kFirstPeer = 256;
constexpr int kLastPeer = 8192;
constexpr int kMaxThreads = 16;
constexpr int kMaxStreams = 256;
constexpr int kMaxMetadata = 16 << 10;

void configure(grpc::ServerBuilder& builder, const Settings& settings) {
  const int limit = static_cast<int>(settings.listen().max_message.bytes);
  builder.SetMaxReceiveMessageSize(limit);
  builder.SetMaxSendMessageSize(limit);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadata);
  grpc::ResourceQuota quota("skerryd");
  quota.SetMaxThreads(kMaxThreads);
  builder.SetResourceQuota(quota);
  // Reflection is the one synchronous service: one thread that seldom wakes is enough for it.
  using Option = grpc::ServerBuilder::SyncServerOption;
  builder.SetSyncServerOption(Option::NUM_CQS, 1);
  builder.SetSyncServerOption(Option::MIN_POLLERS, 1);
  builder.SetSyncServerOption(Option::MAX_POLLERS, 1);
  builder.SetSyncServerOption(Option::CQ_TIMEOUT_MSEC, 600'000);
}

}  // namespace

struct GrpcFront::Impl {
  Impl(Core& c,
       Inference& inference,
       Access& access,
       ModelHost& h,
       Administration& administration,
       ImportAdministration& imports,
       StatusSources sources)
      : core(c),
        host(h),
        peers(kFirstPeer, std::min(kLastPeer, raise_file_limit(kLastPeer))),
        inference_service(c, peers, inference),
        models_service(c, peers, inference, access, h),
        kserve_service(c, peers, inference, access, h),
        admin_service(c, peers, administration, std::move(sources)),
        imports_service(c, peers, imports, h) {}

  void hand_over(grpc::Server& server, UniqueFd socket, Caller caller) {
    Result<UniqueFd> numbered = peers.admit(std::move(socket), std::move(caller));
    if (!numbered) {
      core.log.warning("listen.refused", numbered.error());
      return;
    }
    // gRPC owns the descriptor from here on.
    grpc::AddInsecureChannelFromFd(&server, numbered->release());
  }

  Core& core;
  ModelHost& host;
  PeerTable peers;
  InferenceGrpc inference_service;
  ModelsGrpc models_service;
  KserveGrpc kserve_service;
  AdminGrpc admin_service;
  ImportsGrpc imports_service;
  std::unique_ptr<grpc::Server> api;
  std::unique_ptr<grpc::Server> admin;
  std::unique_ptr<UnixListener> api_listener;
  std::unique_ptr<UnixListener> admin_listener;
  std::set<std::string> healthy;
};

GrpcFront::GrpcFront(Core& core,
                     Inference& inference,
                     Access& access,
                     ModelHost& host,
                     Administration& administration,
                     ImportAdministration& imports,
                     StatusSources sources)
    : impl_(std::make_unique<Impl>(
          core, inference, access, host, administration, imports, std::move(sources))) {}

GrpcFront::~GrpcFront() = default;

Result<void> GrpcFront::start() {
  Impl& self = *impl_;
  const Settings& settings = *self.core.settings;
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  grpc::ServerBuilder api;
  configure(api, settings);
  api.RegisterService(&self.inference_service);
  api.RegisterService(&self.models_service);
  api.RegisterService(&self.kserve_service);
  self.api = api.BuildAndStart();
  grpc::ServerBuilder admin;
  configure(admin, settings);
  admin.RegisterService(&self.admin_service);
  admin.RegisterService(&self.imports_service);
  self.admin = admin.BuildAndStart();
  if (!self.api || !self.admin) {
    return Error{Error::Code::kInternal, "gRPC did not start"};
  }

  Result<UniqueFd> api_socket = listen_unix(settings.listen().api_socket, SocketOwner{-1, 0666});
  if (!api_socket) {
    return api_socket.error().with_context("listen.api_socket");
  }
  SocketOwner administrators{-1, 0660};
  if (Result<std::uint32_t> gid = find_group(settings.listen().admin_group); gid) {
    administrators.gid = *gid;
  }
  Result<UniqueFd> admin_socket = listen_unix(settings.listen().admin_socket, administrators);
  if (!admin_socket && administrators.gid >= 0 &&
      admin_socket.error().code() == Error::Code::kPermissionDenied) {
    // Not root and not a member of that group: the socket stays with our own group.
    admin_socket = listen_unix(settings.listen().admin_socket, SocketOwner{-1, 0660});
  }
  if (!admin_socket) {
    return admin_socket.error().with_context("listen.admin_socket");
  }
  self.api_listener = std::make_unique<UnixListener>(
      "api",
      *std::move(api_socket),
      [&self](UniqueFd socket, Caller caller) {
        self.hand_over(*self.api, std::move(socket), std::move(caller));
      },
      self.core.log);
  self.admin_listener = std::make_unique<UnixListener>(
      "admin",
      *std::move(admin_socket),
      [&self](UniqueFd socket, Caller caller) {
        self.hand_over(*self.admin, std::move(socket), std::move(caller));
      },
      self.core.log);
  if (auto* health = self.api->GetHealthCheckService()) {
    health->SetServingStatus("skerry.inference.v1.InferenceService", true);
    health->SetServingStatus("skerry.models.v1.ModelService", true);
    health->SetServingStatus("inference.GRPCInferenceService", true);
  }
  if (auto* health = self.admin->GetHealthCheckService()) {
    health->SetServingStatus("skerry.admin.v1.AdminService", true);
  }
  update_health();
  return {};
}

Task<void> GrpcFront::run() {
  std::vector<Task<void>> listeners;
  listeners.push_back(impl_->api_listener->run());
  listeners.push_back(impl_->admin_listener->run());
  co_await async::run_until_first_exit(std::move(listeners));
}

void GrpcFront::update_health() {
  if (!impl_->api || impl_->api->GetHealthCheckService() == nullptr) {
    return;
  }
  auto& health = *impl_->api->GetHealthCheckService();
  std::set<std::string> now;
  for (const ServedModelPtr& model : impl_->host.served()) {
    now.insert("model/" + model->name());
  }
  for (const std::string& name : impl_->healthy) {
    if (!now.contains(name)) {
      health.SetServingStatus(name, false);
    }
  }
  for (const std::string& name : now) {
    health.SetServingStatus(name, true);
  }
  impl_->healthy = std::move(now);
}

Task<void> GrpcFront::stop(std::chrono::milliseconds grace) {
  auto work = [this, grace] {
    const auto deadline = std::chrono::system_clock::now() + grace;
    for (grpc::Server* server : {impl_->api.get(), impl_->admin.get()}) {
      if (server != nullptr) {
        server->Shutdown(deadline);
      }
    }
  };
  co_await async::offload(impl_->core.disk, std::move(work));
}

}  // namespace skerry::agent
