#pragma once

// Text over ModelStreamInfer, by the tensors that Triton's vLLM backend takes: `text_input` (the
// prompt as it is, without a template), `stream`, `sampling_parameters` (a JSON object) and
// `exclude_input_in_output`. Pure.

#include "skerry/agent/inference.hpp"

#include "inference/grpc_predict_v2.pb.h"

namespace skerry::agent {

// Whether the request has an input `text_input` of type BYTES.
bool has_text_input(const ::inference::ModelInferRequest& request);

struct TextAsk {
  // Without what its call needs.
  TextJob job;
  // A response for each piece; otherwise one with the whole text.
  bool pieces = true;
  // Ends with a response of its own that has no output (triton_enable_empty_final_response).
  bool empty_final = false;
};

// kInvalidArgument names the input or parameter that is wrong or not offered. What the sampling
// parameters leave out is as vLLM has it: temperature 1, at most 16 tokens.
Result<TextAsk> text_ask(const ::inference::ModelInferRequest& request);

}  // namespace skerry::agent
