#pragma once

// skerry.models.v1.ModelService: what local apps may ask about the models of this gateway.

#include "skerry/agent/access.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/peer_table.hpp"
#include "skerry/models/v1/models.grpc.pb.h"

namespace skerry::agent {

class ModelsGrpc final : public skerry::models::v1::ModelService::CallbackService {
 public:
  ModelsGrpc(
      Core& core, const PeerTable& peers, Inference& inference, Access& access, ModelHost& host)
      : core_(core), peers_(peers), inference_(inference), access_(access), host_(host) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const skerry::models::v1::ListModelsRequest* request,
                                       skerry::models::v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const skerry::models::v1::GetModelRequest* request,
                                     skerry::models::v1::Model* response) override;
  grpc::ServerWriteReactor<skerry::models::v1::LoadProgress>* LoadModel(
      grpc::CallbackServerContext* context,
      const skerry::models::v1::LoadModelRequest* request) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const skerry::models::v1::UnloadModelRequest* request,
                                        skerry::models::v1::UnloadModelResponse* response) override;

 private:
  class LoadReactor;
  Task<void> load(Caller caller, std::string reference, std::shared_ptr<LoadReactor> reactor);

  Core& core_;
  const PeerTable& peers_;
  Inference& inference_;
  Access& access_;
  ModelHost& host_;
};

}  // namespace skerry::agent
