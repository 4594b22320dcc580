#pragma once

// inference.GRPCInferenceService: the six standard methods of the Open Inference Protocol v2, and
// Triton's streams, configuration, statistics, repository and system shared memory
// (kserve_triton.cpp). A model's name is a reference (slot, team/name …); its version, if given, is
// the active one's.

#include "skerry/agent/access.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/peer_table.hpp"

#include "inference/grpc_predict_v2.grpc.pb.h"
#include "kserve_calls.hpp"

namespace skerry::agent {

class KserveGrpc final : public ::inference::GRPCInferenceService::CallbackService {
 public:
  KserveGrpc(
      Core& core, const PeerTable& peers, Inference& inference, Access& access, ModelHost& host)
      : core_(core),
        peers_(peers),
        inference_(inference),
        access_(access),
        host_(host),
        calls_(core, inference, host) {}

  grpc::ServerUnaryReactor* ServerLive(grpc::CallbackServerContext* context,
                                       const ::inference::ServerLiveRequest* request,
                                       ::inference::ServerLiveResponse* response) override;
  grpc::ServerUnaryReactor* ServerReady(grpc::CallbackServerContext* context,
                                        const ::inference::ServerReadyRequest* request,
                                        ::inference::ServerReadyResponse* response) override;
  grpc::ServerUnaryReactor* ModelReady(grpc::CallbackServerContext* context,
                                       const ::inference::ModelReadyRequest* request,
                                       ::inference::ModelReadyResponse* response) override;
  grpc::ServerUnaryReactor* ServerMetadata(grpc::CallbackServerContext* context,
                                           const ::inference::ServerMetadataRequest* request,
                                           ::inference::ServerMetadataResponse* response) override;
  grpc::ServerUnaryReactor* ModelMetadata(grpc::CallbackServerContext* context,
                                          const ::inference::ModelMetadataRequest* request,
                                          ::inference::ModelMetadataResponse* response) override;
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const ::inference::ModelInferRequest* request,
                                       ::inference::ModelInferResponse* response) override;

  grpc::ServerBidiReactor<::inference::ModelInferRequest, ::inference::ModelStreamInferResponse>*
  ModelStreamInfer(grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* ModelConfig(grpc::CallbackServerContext* context,
                                        const ::inference::ModelConfigRequest* request,
                                        ::inference::ModelConfigResponse* response) override;
  grpc::ServerUnaryReactor* ModelStatistics(
      grpc::CallbackServerContext* context,
      const ::inference::ModelStatisticsRequest* request,
      ::inference::ModelStatisticsResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryIndex(
      grpc::CallbackServerContext* context,
      const ::inference::RepositoryIndexRequest* request,
      ::inference::RepositoryIndexResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryModelLoad(
      grpc::CallbackServerContext* context,
      const ::inference::RepositoryModelLoadRequest* request,
      ::inference::RepositoryModelLoadResponse* response) override;
  grpc::ServerUnaryReactor* RepositoryModelUnload(
      grpc::CallbackServerContext* context,
      const ::inference::RepositoryModelUnloadRequest* request,
      ::inference::RepositoryModelUnloadResponse* response) override;
  grpc::ServerUnaryReactor* SystemSharedMemoryStatus(
      grpc::CallbackServerContext* context,
      const ::inference::SystemSharedMemoryStatusRequest* request,
      ::inference::SystemSharedMemoryStatusResponse* response) override;
  grpc::ServerUnaryReactor* SystemSharedMemoryRegister(
      grpc::CallbackServerContext* context,
      const ::inference::SystemSharedMemoryRegisterRequest* request,
      ::inference::SystemSharedMemoryRegisterResponse* response) override;
  grpc::ServerUnaryReactor* SystemSharedMemoryUnregister(
      grpc::CallbackServerContext* context,
      const ::inference::SystemSharedMemoryUnregisterRequest* request,
      ::inference::SystemSharedMemoryUnregisterResponse* response) override;

 private:
  [[nodiscard]] bool may_list(const Caller& caller, const ServedModel& model) const;
  void add_statistics(const ServedModel& model, ::inference::ModelStatisticsResponse& out) const;

  Core& core_;
  const PeerTable& peers_;
  Inference& inference_;
  Access& access_;
  ModelHost& host_;
  KserveCalls calls_;
};

}  // namespace skerry::agent
