#include <algorithm>
#include <cstring>

#include "pulse.hpp"
#include "support.hpp"

namespace skerry_onnx {

namespace {

std::string shape_text(const std::int64_t* shape, std::size_t rank) {
  std::string text = "[";
  for (std::size_t i = 0; i < rank; ++i) {
    text += i == 0 ? "" : ", ";
    text += shape[i] < 0 ? std::string{"?"} : std::to_string(shape[i]);
  }
  return text + "]";
}

// Values kept alive while ONNX Runtime borrows them.
struct Held {
  Value value;
  std::vector<std::byte> copy;
};

std::uint64_t element_count(const skerry_tensor& tensor, const std::string& label) {
  std::uint64_t count = 1;
  for (std::uint32_t i = 0; i < tensor.rank; ++i) {
    const std::int64_t dimension = tensor.shape[i];
    if (dimension < 0 ||
        __builtin_mul_overflow(count, static_cast<std::uint64_t>(dimension), &count)) {
      throw Failure{SKERRY_E_INVALID,
                    label + " has the shape " + shape_text(tensor.shape, tensor.rank) +
                        ", which is negative or too large"};
    }
  }
  return count;
}

void check_shape(const skerry_tensor& tensor, const TensorSpec& spec, const std::string& label) {
  if (tensor.rank > SKERRY_MAX_RANK) {
    throw Failure{SKERRY_E_INVALID,
                  label + " has " + std::to_string(tensor.rank) + " dimensions, at most " +
                      std::to_string(SKERRY_MAX_RANK)};
  }
  if (spec.shape.empty()) {
    return;
  }
  bool fits = tensor.rank == spec.shape.size();
  for (std::size_t i = 0; fits && i < spec.shape.size(); ++i) {
    fits = spec.shape[i] < 0 || spec.shape[i] == tensor.shape[i];
  }
  if (!fits) {
    throw Failure{SKERRY_E_INVALID,
                  label + " has the shape " + shape_text(tensor.shape, tensor.rank) +
                      ", the model takes " + shape_text(spec.shape.data(), spec.shape.size())};
  }
}

// BYTES elements: uint32 length, bytes. ONNX strings end at a NUL in this API, so one inside is
// refused rather than cut.
std::vector<std::string> split_bytes(const skerry_tensor& tensor,
                                     std::uint64_t count,
                                     const std::string& label) {
  std::vector<std::string> texts;
  const auto* data = static_cast<const unsigned char*>(tensor.data);
  std::uint64_t at = 0;
  while (at < tensor.bytes) {
    std::uint64_t length = 0;
    if (tensor.bytes - at >= 4) {
      for (std::uint64_t i = 4; i > 0; --i) {
        length = (length << 8U) | data[at + i - 1];
      }
    }
    if (tensor.bytes - at < 4 || length > tensor.bytes - at - 4) {
      throw Failure{SKERRY_E_INVALID,
                    label + ": element " + std::to_string(texts.size()) + " is cut short"};
    }
    texts.emplace_back(reinterpret_cast<const char*>(data + at + 4),
                       static_cast<std::size_t>(length));
    if (texts.back().find('\0') != std::string::npos) {
      throw Failure{SKERRY_E_INVALID,
                    label + ": element " + std::to_string(texts.size() - 1) + " contains NUL"};
    }
    at += 4 + length;
  }
  if (texts.size() != count) {
    throw Failure{SKERRY_E_INVALID,
                  label + " has " + std::to_string(texts.size()) + " elements, its shape needs " +
                      std::to_string(count)};
  }
  return texts;
}

Value make_strings(const skerry_tensor& tensor, std::uint64_t count, const std::string& label) {
  const auto texts = split_bytes(tensor, count, label);
  OrtAllocator* allocator = nullptr;
  check(ort()->GetAllocatorWithDefaultOptions(&allocator), SKERRY_E_ENGINE, label);
  OrtValue* value = nullptr;
  check(ort()->CreateTensorAsOrtValue(
            allocator, tensor.shape, tensor.rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, &value),
        SKERRY_E_ENGINE,
        label);
  Value owned{value};
  std::vector<const char*> pointers;
  pointers.reserve(texts.size());
  for (const auto& text : texts) {
    pointers.push_back(text.c_str());
  }
  check(ort()->FillStringTensor(value, pointers.data(), pointers.size()), SKERRY_E_ENGINE, label);
  return owned;
}

Held make_input(const skerry_model& model, const skerry_tensor& tensor, const TensorSpec& spec) {
  const std::string label = "input '" + spec.name + "'";
  if (tensor.datatype != spec.type->datatype) {
    throw Failure{SKERRY_E_INVALID,
                  label + " has datatype " + datatype_name(tensor.datatype) + ", the model takes " +
                      std::string{spec.type->name}};
  }
  check_shape(tensor, spec, label);
  const std::uint64_t count = element_count(tensor, label);
  if (spec.type->bytes == 0) {
    return {make_strings(tensor, count, label), {}};
  }
  if (count > tensor.bytes / spec.type->bytes || count * spec.type->bytes != tensor.bytes) {
    throw Failure{SKERRY_E_INVALID,
                  label + " has " + std::to_string(tensor.bytes) + " bytes, its shape " +
                      shape_text(tensor.shape, tensor.rank) + " of " +
                      std::string{spec.type->name} + " needs another number"};
  }
  Held held;
  const void* data = tensor.data;
  // Zero bytes may come with a null pointer, bytes from a message without alignment.
  if (tensor.bytes == 0 || reinterpret_cast<std::uintptr_t>(data) % spec.type->bytes != 0) {
    held.copy.resize(std::max<std::size_t>(static_cast<std::size_t>(tensor.bytes), 1));
    if (tensor.bytes != 0) {
      std::memcpy(held.copy.data(), data, static_cast<std::size_t>(tensor.bytes));
    }
    data = held.copy.data();
  }
  OrtValue* value = nullptr;
  // Inputs are read only; the API lacks the const.
  check(ort()->CreateTensorWithDataAsOrtValue(model.cpu.get(),
                                              const_cast<void*>(data),
                                              static_cast<std::size_t>(tensor.bytes),
                                              tensor.shape,
                                              tensor.rank,
                                              spec.type->onnx,
                                              &value),
        SKERRY_E_INVALID,
        label);
  held.value.reset(value);
  return held;
}

std::vector<Held> make_inputs(const skerry_model& model, const skerry_infer_request& request) {
  std::vector<Held> held;
  for (const auto& spec : model.inputs) {
    const skerry_tensor* found = nullptr;
    for (std::size_t i = 0; i < request.input_count; ++i) {
      if (view(request.inputs[i].name) != spec.name) {
        continue;
      }
      if (found != nullptr) {
        throw Failure{SKERRY_E_INVALID, "input '" + spec.name + "' is given twice"};
      }
      found = &request.inputs[i];
    }
    if (found == nullptr) {
      throw Failure{SKERRY_E_INVALID, "input '" + spec.name + "' is missing"};
    }
    held.push_back(make_input(model, *found, spec));
  }
  for (std::size_t i = 0; i < request.input_count; ++i) {
    const std::string_view name = view(request.inputs[i].name);
    if (std::none_of(model.inputs.begin(), model.inputs.end(), [name](const TensorSpec& spec) {
          return spec.name == name;
        })) {
      throw Failure{SKERRY_E_INVALID, "the model has no input '" + std::string{name} + "'"};
    }
  }
  return held;
}

std::vector<const TensorSpec*> wanted_outputs(const skerry_model& model,
                                              const skerry_infer_request& request) {
  std::vector<const TensorSpec*> wanted;
  for (std::size_t i = 0; i < request.output_count; ++i) {
    const std::string_view name = view(request.outputs[i]);
    const auto found = std::find_if(model.outputs.begin(),
                                    model.outputs.end(),
                                    [name](const TensorSpec& spec) { return spec.name == name; });
    if (found == model.outputs.end()) {
      throw Failure{SKERRY_E_INVALID, "the model has no output '" + std::string{name} + "'"};
    }
    wanted.push_back(&*found);
  }
  if (wanted.empty()) {
    for (const auto& spec : model.outputs) {
      wanted.push_back(&spec);
    }
  }
  return wanted;
}

// An output as the host takes it; owns what the tensor points to, but for the values themselves.
struct Output {
  std::vector<std::int64_t> shape;
  std::string encoded;
  skerry_tensor tensor{};
};

std::string encode_strings(const OrtValue* value, std::size_t count, const std::string& label) {
  std::size_t bytes = 0;
  check(ort()->GetStringTensorDataLength(value, &bytes), SKERRY_E_ENGINE, label);
  std::string content(bytes, '\0');
  std::vector<std::size_t> offsets(count);
  check(ort()->GetStringTensorContent(value, content.data(), bytes, offsets.data(), count),
        SKERRY_E_ENGINE,
        label);
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = i + 1 < count ? offsets[i + 1] : bytes;
    const std::size_t length = end - offsets[i];
    for (unsigned shift = 0; shift < 32; shift += 8) {
      out.push_back(static_cast<char>((length >> shift) & 0xffU));
    }
    out.append(content, offsets[i], length);
  }
  return out;
}

Output read_output(OrtValue* value, const TensorSpec& spec) {
  const std::string label = "output '" + spec.name + "'";
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  check(ort()->GetTensorTypeAndShape(value, &raw), SKERRY_E_ENGINE, label);
  const TensorInfo info{raw};
  std::size_t rank = 0;
  std::size_t count = 0;
  check(ort()->GetDimensionsCount(raw, &rank), SKERRY_E_ENGINE, label);
  check(ort()->GetTensorShapeElementCount(raw, &count), SKERRY_E_ENGINE, label);
  if (rank > SKERRY_MAX_RANK) {
    throw Failure{SKERRY_E_UNSUPPORTED, label + " has " + std::to_string(rank) + " dimensions"};
  }
  Output out;
  out.shape.resize(rank);
  check(ort()->GetDimensions(raw, out.shape.data(), rank), SKERRY_E_ENGINE, label);
  out.tensor.size = sizeof(skerry_tensor);
  out.tensor.name = str(spec.name);
  out.tensor.datatype = spec.type->datatype;
  out.tensor.rank = static_cast<std::uint32_t>(rank);
  if (spec.type->bytes == 0) {
    out.encoded = encode_strings(value, count, label);
    return out;
  }
  void* data = nullptr;
  check(ort()->GetTensorMutableData(value, &data), SKERRY_E_ENGINE, label);
  out.tensor.data = data;
  out.tensor.bytes = count * spec.type->bytes;
  return out;
}

void emit_outputs(const skerry_infer_request& request,
                  const std::vector<Value>& values,
                  const std::vector<const TensorSpec*>& specs) {
  std::vector<Output> outputs;
  outputs.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    outputs.push_back(read_output(values[i].get(), *specs[i]));
  }
  std::vector<skerry_tensor> tensors;
  for (auto& output : outputs) {
    output.tensor.shape = output.shape.data();
    if (output.tensor.data == nullptr) {
      output.tensor.data = output.encoded.data();
      output.tensor.bytes = output.encoded.size();
    }
    tensors.push_back(output.tensor);
  }
  if (request.emit(request.emit_ctx, tensors.data(), tensors.size()) != 0) {
    throw Failure{SKERRY_E_CANCELLED, "the request was cancelled"};
  }
}

void run_request(skerry_model& model, const skerry_infer_request& request) {
  if (std::memcmp(request.model_digest, model.digest, sizeof model.digest) != 0) {
    throw Failure{SKERRY_E_INVALID, "the request is for another model than the one loaded"};
  }
  const auto specs = wanted_outputs(model, request);
  const auto inputs = make_inputs(model, request);
  std::vector<const char*> input_names;
  std::vector<const OrtValue*> input_values;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    input_names.push_back(model.inputs[i].name.c_str());
    input_values.push_back(inputs[i].value.get());
  }
  std::vector<const char*> output_names;
  output_names.reserve(specs.size());
  for (const auto* spec : specs) {
    output_names.push_back(spec->name.c_str());
  }
  OrtRunOptions* raw = nullptr;
  check(ort()->CreateRunOptions(&raw), SKERRY_E_ENGINE, "run options");
  const RunOptions options{raw};
  std::vector<OrtValue*> raw_outputs(specs.size(), nullptr);
  const Pulse::Work work{*model.pulse, &model, request.id, raw};
  OrtStatus* status = ort()->Run(model.session.get(),
                                 raw,
                                 input_names.data(),
                                 input_values.data(),
                                 input_values.size(),
                                 output_names.data(),
                                 output_names.size(),
                                 raw_outputs.data());
  std::vector<Value> outputs;
  outputs.reserve(raw_outputs.size());
  for (OrtValue* value : raw_outputs) {
    outputs.emplace_back(value);
  }
  if (work.cancelled() || model.pulse->should_stop()) {
    if (status != nullptr) {
      ort()->ReleaseStatus(status);
    }
    throw Failure{SKERRY_E_CANCELLED, "the request was cancelled"};
  }
  check(status, SKERRY_E_ENGINE, "inference failed");
  emit_outputs(request, outputs, specs);
}

std::uint32_t run(skerry_model* model, const skerry_infer_request* request, skerry_error* error) {
  return guarded(error, [&] { run_request(*model, *request); });
}

void cancel(skerry_model* model, std::uint64_t id) {
  model->pulse->cancel(model, id);
}

}  // namespace

const skerry_infer* infer_table() {
  static constexpr skerry_infer kTable{.size = sizeof(skerry_infer), .run = run, .cancel = cancel};
  return &kTable;
}

}  // namespace skerry_onnx
