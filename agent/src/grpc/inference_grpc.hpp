#pragma once

// skerry.inference.v1.InferenceService over the service layer.

#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/peer_table.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"

namespace skerry::agent {

class InferenceGrpc final : public skerry::inference::v1::InferenceService::CallbackService {
 public:
  InferenceGrpc(Core& core, const PeerTable& peers, Inference& inference)
      : core_(core), peers_(peers), inference_(inference) {}

  grpc::ServerWriteReactor<skerry::inference::v1::GenerateEvent>* Generate(
      grpc::CallbackServerContext* context,
      const skerry::inference::v1::GenerateRequest* request) override;
  grpc::ServerWriteReactor<skerry::inference::v1::GenerateEvent>* Chat(
      grpc::CallbackServerContext* context,
      const skerry::inference::v1::ChatRequest* request) override;
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const skerry::inference::v1::EmbedRequest* request,
                                  skerry::inference::v1::EmbedResponse* response) override;
  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const skerry::inference::v1::RerankRequest* request,
                                   skerry::inference::v1::RerankResponse* response) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const skerry::inference::v1::ScoreRequest* request,
                                  skerry::inference::v1::ScoreResponse* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const skerry::inference::v1::TokenizeRequest* request,
                                     skerry::inference::v1::TokenizeResponse* response) override;
  grpc::ServerUnaryReactor* Infer(grpc::CallbackServerContext* context,
                                  const skerry::inference::v1::InferRequest* request,
                                  skerry::inference::v1::InferResponse* response) override;
  grpc::ServerUnaryReactor* Cancel(grpc::CallbackServerContext* context,
                                   const skerry::inference::v1::CancelRequest* request,
                                   skerry::inference::v1::CancelResponse* response) override;

 private:
  grpc::ServerWriteReactor<skerry::inference::v1::GenerateEvent>* start_text(
      grpc::CallbackServerContext* context, Result<TextJob> job);

  Core& core_;
  const PeerTable& peers_;
  Inference& inference_;
};

}  // namespace skerry::agent
