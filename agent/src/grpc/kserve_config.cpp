#include "kserve_config.hpp"

namespace skerry::agent {
namespace {

constexpr double kNanoseconds = 1e9;

// The values are the same, apart from the name of BYTES.
::inference::DataType triton_type(runtime::DataType type) {
  using Ours = runtime::DataType;
  switch (type) {
    case Ours::kBool:
      return ::inference::TYPE_BOOL;
    case Ours::kUint8:
      return ::inference::TYPE_UINT8;
    case Ours::kUint16:
      return ::inference::TYPE_UINT16;
    case Ours::kUint32:
      return ::inference::TYPE_UINT32;
    case Ours::kUint64:
      return ::inference::TYPE_UINT64;
    case Ours::kInt8:
      return ::inference::TYPE_INT8;
    case Ours::kInt16:
      return ::inference::TYPE_INT16;
    case Ours::kInt32:
      return ::inference::TYPE_INT32;
    case Ours::kInt64:
      return ::inference::TYPE_INT64;
    case Ours::kFp16:
      return ::inference::TYPE_FP16;
    case Ours::kFp32:
      return ::inference::TYPE_FP32;
    case Ours::kFp64:
      return ::inference::TYPE_FP64;
    case Ours::kBytes:
      return ::inference::TYPE_STRING;
    case Ours::kBf16:
      return ::inference::TYPE_BF16;
  }
  return ::inference::TYPE_INVALID;
}

template <class Tensor>
Tensor& add_tensor(const char* name,
                   ::inference::DataType type,
                   google::protobuf::RepeatedPtrField<Tensor>& to) {
  Tensor& tensor = *to.Add();
  tensor.set_name(name);
  tensor.set_data_type(type);
  tensor.add_dims(1);
  return tensor;
}

template <class Tensor>
void add_tensors(const std::vector<runtime::TensorInfo>& from,
                 google::protobuf::RepeatedPtrField<Tensor>& to) {
  for (const runtime::TensorInfo& info : from) {
    Tensor& tensor = *to.Add();
    tensor.set_name(info.name);
    tensor.set_data_type(triton_type(info.type));
    tensor.mutable_dims()->Add(info.shape.begin(), info.shape.end());
  }
}

void fill_duration(const Histogram& times, ::inference::StatisticDuration* duration) {
  duration->set_count(times.count());
  duration->set_ns(static_cast<std::uint64_t>(times.sum() * kNanoseconds));
}

}  // namespace

void fill_config(const runtime::ModelInfo& info, ::inference::ModelConfig* config) {
  config->set_platform(info.plugin + "_" + info.architecture);
  config->set_backend(info.plugin);
  config->set_max_batch_size(0);
  add_tensors(info.inputs, *config->mutable_input());
  add_tensors(info.outputs, *config->mutable_output());
  const bool text = info.can_generate && info.inputs.empty() && info.outputs.empty();
  config->mutable_model_transaction_policy()->set_decoupled(text);
  if (!text) {
    return;
  }
  add_tensor(kTextInput, ::inference::TYPE_STRING, *config->mutable_input());
  add_tensor("stream", ::inference::TYPE_BOOL, *config->mutable_input()).set_optional(true);
  add_tensor("sampling_parameters", ::inference::TYPE_STRING, *config->mutable_input())
      .set_optional(true);
  add_tensor("exclude_input_in_output", ::inference::TYPE_BOOL, *config->mutable_input())
      .set_optional(true);
  add_tensor(kTextOutput, ::inference::TYPE_STRING, *config->mutable_output());
}

void fill_statistics(const ModelMetrics& figures, ::inference::ModelStatistics* statistics) {
  statistics->set_inference_count(figures.succeeded());
  ::inference::InferStatistics& stats = *statistics->mutable_inference_stats();
  fill_duration(figures.latency, stats.mutable_success());
  stats.mutable_fail()->set_count(figures.failed());
  fill_duration(figures.queue, stats.mutable_queue());
  fill_duration(figures.inference, stats.mutable_compute_infer());
}

}  // namespace skerry::agent
