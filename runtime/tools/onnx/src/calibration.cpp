#include "calibration.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "ort_handles.hpp"

namespace skerry::runtime::onnx_tools {

namespace {

using skerry_ort::ort;

Error bad_data(const std::string& message) {
  return Error{Error::Code::kInvalidArgument, "calibration data: " + message};
}

// Sticky: after the first failure nothing more is called.
class Calls {
 public:
  bool operator()(OrtStatus* raw, const std::string& what) {
    const skerry_ort::Status status{raw};
    if (status != nullptr && !error_) {
      error_ = Error{Error::Code::kModelLoad,
                     what + ": " + std::string{ort()->GetErrorMessage(status.get())}};
    }
    return !error_.has_value();
  }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

struct InputShape {
  std::vector<std::int64_t> dims;
  // Values in one window.
  std::size_t window = 1;
  // Windows per run; 0: free.
  std::size_t fixed_batch = 0;
};

Result<InputShape> read_shape(const onnx::ValueInfoProto& input) {
  const auto& shape = input.type().tensor_type().shape();
  InputShape out;
  for (int i = 0; i < shape.dim_size(); ++i) {
    const auto& dim = shape.dim(i);
    const bool fixed = dim.has_dim_value() && dim.dim_value() > 0;
    if (i == 0) {
      out.fixed_batch = fixed ? static_cast<std::size_t>(dim.dim_value()) : 0;
      out.dims.push_back(0);
      continue;
    }
    if (!fixed || __builtin_mul_overflow(
                      out.window, static_cast<std::size_t>(dim.dim_value()), &out.window)) {
      return Error{Error::Code::kModelLoad,
                   "onnx: dimension " + std::to_string(i) + " of input '" + input.name() +
                       "' is not fixed, so calibration windows have no length"};
    }
    out.dims.push_back(dim.dim_value());
  }
  if (out.dims.empty()) {
    return Error{Error::Code::kModelLoad, "onnx: input '" + input.name() + "' has no shape"};
  }
  return out;
}

Result<std::vector<float>> read_windows(std::span<const std::byte> bytes, const InputShape& shape) {
  if (shape.window > std::numeric_limits<std::size_t>::max() / sizeof(float) || bytes.empty() ||
      bytes.size() % (shape.window * sizeof(float)) != 0) {
    return bad_data(std::to_string(bytes.size()) + " bytes are no whole number of windows of " +
                    std::to_string(shape.window) + " float32 values");
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  const auto odd = std::find_if_not(
      values.begin(), values.end(), [](float value) { return std::isfinite(value); });
  if (odd != values.end()) {
    return bad_data("value " + std::to_string(odd - values.begin()) + " is not a finite number");
  }
  const std::size_t windows = values.size() / shape.window;
  if (shape.fixed_batch != 0 && windows % shape.fixed_batch != 0) {
    return bad_data(std::to_string(windows) + " windows are no multiple of the model's batch of " +
                    std::to_string(shape.fixed_batch));
  }
  return values;
}

void widen(Range& range, std::span<const float> values) {
  for (const float value : values) {
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
}

class Calibrator {
 public:
  Calibrator(const ModelEdit& edit, const std::set<std::string>& values)
      : input_(edit.input().name()) {
    onnx::ModelProto copy = edit.model();
    auto* graph = copy.mutable_graph();
    graph->clear_output();
    for (const auto& value : values) {
      if (value == input_) {
        continue;
      }
      outputs_.push_back(value);
      auto* output = graph->add_output();
      output->set_name(value);
      output->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
    }
    bytes_ = copy.SerializeAsString();
  }

  Result<void> open() {
    OrtEnv* env = nullptr;
    OrtSessionOptions* options = nullptr;
    OrtSession* session = nullptr;
    OrtMemoryInfo* memory = nullptr;
    if (calls_(ort()->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "quantize", &env), "engine")) {
      env_.reset(env);
    }
    if (env_ && calls_(ort()->CreateSessionOptions(&options), "engine")) {
      options_.reset(options);
    }
    // One thread and no rewriting: the same sums in the same order each time.
    if (options_ && calls_(ort()->SetIntraOpNumThreads(options, 1), "engine") &&
        calls_(ort()->SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL), "engine") &&
        calls_(ort()->CreateSessionFromArray(env, bytes_.data(), bytes_.size(), options, &session),
               "onnx")) {
      session_.reset(session);
    }
    if (session_ &&
        calls_(ort()->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory),
               "engine")) {
      memory_.reset(memory);
      return {};
    }
    return calls_.error();
  }

  Result<void> run(std::span<float> values,
                   const std::vector<std::int64_t>& shape,
                   std::map<std::string, Range>& ranges) {
    widen(ranges[input_], values);
    if (outputs_.empty()) {
      return {};
    }
    OrtValue* raw = nullptr;
    if (!calls_(ort()->CreateTensorWithDataAsOrtValue(memory_.get(),
                                                      values.data(),
                                                      values.size_bytes(),
                                                      shape.data(),
                                                      shape.size(),
                                                      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                                                      &raw),
                "calibration")) {
      return calls_.error();
    }
    const skerry_ort::Value input{raw};
    const char* input_name = input_.c_str();
    std::vector<const char*> names;
    for (const auto& name : outputs_) {
      names.push_back(name.c_str());
    }
    std::vector<OrtValue*> results(names.size(), nullptr);
    const OrtValue* const inputs[] = {raw};
    const bool ran = calls_(ort()->Run(session_.get(),
                                       nullptr,
                                       &input_name,
                                       inputs,
                                       1,
                                       names.data(),
                                       names.size(),
                                       results.data()),
                            "calibration");
    std::vector<skerry_ort::Value> owned;
    owned.reserve(results.size());
    for (OrtValue* value : results) {
      owned.emplace_back(value);
    }
    for (std::size_t i = 0; ran && i < owned.size(); ++i) {
      if (auto taken = take(owned[i].get(), outputs_[i], ranges); !taken) {
        return taken;
      }
    }
    return ran ? Result<void>{} : Result<void>{calls_.error()};
  }

 private:
  Result<void> take(OrtValue* value,
                    const std::string& name,
                    std::map<std::string, Range>& ranges) {
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    std::size_t count = 0;
    void* data = nullptr;
    if (!calls_(ort()->GetTensorTypeAndShape(value, &raw), name)) {
      return calls_.error();
    }
    const skerry_ort::TensorInfo info{raw};
    if (!calls_(ort()->GetTensorShapeElementCount(raw, &count), name) ||
        !calls_(ort()->GetTensorMutableData(value, &data), name)) {
      return calls_.error();
    }
    Range& range = ranges[name];
    const std::span values{static_cast<const float*>(data), count};
    widen(range, values);
    // NaN compares false everywhere, so look for it by itself.
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
      return Error{Error::Code::kModelLoad,
                   "onnx: value '" + name + "' is not finite on the calibration data"};
    }
    return {};
  }

  std::string input_;
  std::vector<std::string> outputs_;
  std::string bytes_;
  Calls calls_;
  skerry_ort::Env env_;
  skerry_ort::SessionOptions options_;
  skerry_ort::Session session_;
  skerry_ort::MemoryInfo memory_;
};

}  // namespace

Result<std::map<std::string, Range>> measure_ranges(const ModelEdit& edit,
                                                    const std::set<std::string>& values,
                                                    std::span<const std::byte> calibration,
                                                    const OnnxQuantizeOptions& options) {
  auto shape = read_shape(edit.input());
  if (!shape) {
    return shape.error();
  }
  auto data = read_windows(calibration, *shape);
  if (!data) {
    return data.error();
  }
  Calibrator calibrator{edit, values};
  if (auto opened = calibrator.open(); !opened) {
    return opened.error();
  }
  std::map<std::string, Range> ranges;
  const std::size_t windows = data->size() / shape->window;
  const std::size_t batch =
      shape->fixed_batch != 0 ? shape->fixed_batch : std::max<std::size_t>(options.batch, 1);
  for (std::size_t done = 0; done < windows;) {
    const std::size_t count = std::min(batch, windows - done);
    shape->dims[0] = static_cast<std::int64_t>(count);
    const auto part = std::span{*data}.subspan(done * shape->window, count * shape->window);
    if (auto ran = calibrator.run(part, shape->dims, ranges); !ran) {
      return ran.error();
    }
    done += count;
    if (options.progress &&
        !options.progress(static_cast<float>(done) / static_cast<float>(windows))) {
      return Error{Error::Code::kCancelled, "quantization was cancelled"};
    }
  }
  return ranges;
}

}  // namespace skerry::runtime::onnx_tools
