#pragma once

// inference.GRPCInferenceService, the Open Inference Protocol v2: the six standard methods. A
// model's name is a reference (slot, team/name …); its version, if given, is the active one's.

#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/peer_table.hpp"

#include "inference/grpc_predict_v2.grpc.pb.h"

namespace skerry::agent {

class KserveGrpc final : public ::inference::GRPCInferenceService::CallbackService {
 public:
  KserveGrpc(Core& core, const PeerTable& peers, Inference& inference, ModelHost& host)
      : core_(core), peers_(peers), inference_(inference), host_(host) {}

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

 private:
  Core& core_;
  const PeerTable& peers_;
  Inference& inference_;
  ModelHost& host_;
};

}  // namespace skerry::agent
