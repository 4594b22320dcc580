#pragma once

// Open Inference Protocol tensors ⇄ ours, with the protocol's rules: either every input uses
// raw_input_contents, in order, or none does; FP16 and BF16 have no typed form.

#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

#include "inference/grpc_predict_v2.pb.h"

namespace skerry::agent {

// kInvalidArgument names the input and the rule that it breaks.
Result<std::vector<runtime::Tensor>> tensors_of(const ::inference::ModelInferRequest& request);

// Fills `response` in raw form if the request was raw, in typed form otherwise (raw where there is
// no typed form).
void fill_outputs(const std::vector<runtime::Tensor>& outputs,
                  bool raw,
                  ::inference::ModelInferResponse* response);

}  // namespace skerry::agent
