#pragma once

// What Triton's ModelConfig and ModelStatistics say of a model of ours. Pure.

#include "skerry/agent/metrics.hpp"
#include "skerry/runtime/model_info.hpp"

#include "inference/grpc_predict_v2.pb.h"

namespace skerry::agent {

// The tensors that a text model is asked by and answers with over ModelStreamInfer, as Triton's
// vLLM backend names them.
inline constexpr const char* kTextInput = "text_input";
inline constexpr const char* kTextOutput = "text_output";

// All but name: a tensor model has its tensors with their whole shapes and max_batch_size 0, since
// the batch is a dimension like the others; one that generates and declares none is decoupled.
void fill_config(const runtime::ModelInfo& info, ::inference::ModelConfig* config);

// All but name, version and memory: what is counted since the daemon began. `success` has the
// requests that were answered, those cancelled midway too, with their time by the daemon's clock,
// loading included; `queue` and `compute_infer` those of text models, by the worker's clock. The
// rest is not measured and stays 0.
void fill_statistics(const ModelMetrics& figures, ::inference::ModelStatistics* statistics);

}  // namespace skerry::agent
