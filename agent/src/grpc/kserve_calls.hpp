#pragma once

// What ModelInfer and ModelStreamInfer share: one request for tensors from the protocol's message
// to its answer, shared memory included, over the service layer. Control thread.

#include <string>

#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/async/task.hpp"

#include "inference/grpc_predict_v2.pb.h"
#include "shared_regions.hpp"

namespace skerry::agent {

// "team/name" and a version make "team/name:version"; a slot takes no version.
std::string oip_reference(const std::string& name, const std::string& version);

class KserveCalls {
 public:
  KserveCalls(Core& core, Inference& inference, ModelHost& host)
      : core_(core), inference_(inference), host_(host) {}

  // `call` has everything but the reference. `request` and `response` are the caller's until it
  // returns; the response is filled only if it succeeds.
  Task<Result<void>> infer(Caller caller,
                           CallOptions call,
                           const ::inference::ModelInferRequest* request,
                           ::inference::ModelInferResponse* response);

  // Whether it asks for text: it has the input for it, and the model is none of tensors alone.
  [[nodiscard]] bool asks_for_text(const ::inference::ModelInferRequest& request) const;

  Inference& inference() { return inference_; }
  SharedRegions& regions() { return regions_; }

 private:
  Task<Result<std::vector<runtime::Tensor>>> inputs_of(
      security::Principal principal, const ::inference::ModelInferRequest* request);

  Core& core_;
  Inference& inference_;
  ModelHost& host_;
  SharedRegions regions_;
};

}  // namespace skerry::agent
