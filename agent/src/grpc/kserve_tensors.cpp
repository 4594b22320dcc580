#include "kserve_tensors.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

namespace skerry::agent {
namespace {

using runtime::DataType;
using Contents = ::inference::InferTensorContents;

Error bad_input(const std::string& name, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, "input \"" + name + "\": " + std::string{problem}};
}

template <class Wire, class Values>
bool pack(const Values& values, std::string& out) {
  out.reserve(static_cast<std::size_t>(values.size()) * sizeof(Wire));
  for (const auto value : values) {
    if constexpr (std::is_integral_v<Wire> && !std::is_same_v<Wire, bool>) {
      if (value < std::numeric_limits<Wire>::min() || value > std::numeric_limits<Wire>::max()) {
        return false;
      }
    }
    const auto wire = static_cast<Wire>(value);
    out.append(reinterpret_cast<const char*>(&wire), sizeof wire);
  }
  return true;
}

void append_bytes(const std::string& value, std::string& out) {
  const auto length = static_cast<std::uint32_t>(value.size());
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
  out += value;
}

Result<std::string> typed_data(const std::string& name, DataType type, const Contents& in) {
  std::string out;
  bool fits = true;
  switch (type) {
    case DataType::kBool:
      for (const bool value : in.bool_contents()) {
        out += value ? '\1' : '\0';
      }
      break;
    case DataType::kInt8:
      fits = pack<std::int8_t>(in.int_contents(), out);
      break;
    case DataType::kInt16:
      fits = pack<std::int16_t>(in.int_contents(), out);
      break;
    case DataType::kInt32:
      fits = pack<std::int32_t>(in.int_contents(), out);
      break;
    case DataType::kInt64:
      fits = pack<std::int64_t>(in.int64_contents(), out);
      break;
    case DataType::kUint8:
      fits = pack<std::uint8_t>(in.uint_contents(), out);
      break;
    case DataType::kUint16:
      fits = pack<std::uint16_t>(in.uint_contents(), out);
      break;
    case DataType::kUint32:
      fits = pack<std::uint32_t>(in.uint_contents(), out);
      break;
    case DataType::kUint64:
      fits = pack<std::uint64_t>(in.uint64_contents(), out);
      break;
    case DataType::kFp32:
      fits = pack<float>(in.fp32_contents(), out);
      break;
    case DataType::kFp64:
      fits = pack<double>(in.fp64_contents(), out);
      break;
    case DataType::kBytes:
      for (const std::string& value : in.bytes_contents()) {
        append_bytes(value, out);
      }
      break;
    case DataType::kFp16:
    case DataType::kBf16:
      return bad_input(name, "FP16 and BF16 go in raw_input_contents");
  }
  if (!fits) {
    return bad_input(name, "a value does not fit " + std::string{to_string(type)});
  }
  return out;
}

template <class Wire, class Add>
void unpack(const std::string& data, Add add) {
  for (std::size_t at = 0; at + sizeof(Wire) <= data.size(); at += sizeof(Wire)) {
    Wire value{};
    std::memcpy(&value, data.data() + at, sizeof value);
    add(value);
  }
}

void unpack_bytes(const std::string& data, Contents& out) {
  std::size_t at = 0;
  while (at + sizeof(std::uint32_t) <= data.size()) {
    std::uint32_t length = 0;
    std::memcpy(&length, data.data() + at, sizeof length);
    at += sizeof length;
    const std::size_t take = std::min<std::size_t>(length, data.size() - at);
    out.add_bytes_contents(data.substr(at, take));
    at += take;
  }
}

// False if the type has no typed form.
bool fill_typed(const runtime::Tensor& tensor, Contents& out) {
  const std::string& data = tensor.data;
  switch (tensor.type) {
    case DataType::kBool:
      unpack<std::uint8_t>(data, [&out](auto v) { out.add_bool_contents(v != 0); });
      return true;
    case DataType::kInt8:
      unpack<std::int8_t>(data, [&out](auto v) { out.add_int_contents(v); });
      return true;
    case DataType::kInt16:
      unpack<std::int16_t>(data, [&out](auto v) { out.add_int_contents(v); });
      return true;
    case DataType::kInt32:
      unpack<std::int32_t>(data, [&out](auto v) { out.add_int_contents(v); });
      return true;
    case DataType::kInt64:
      unpack<std::int64_t>(data, [&out](auto v) { out.add_int64_contents(v); });
      return true;
    case DataType::kUint8:
      unpack<std::uint8_t>(data, [&out](auto v) { out.add_uint_contents(v); });
      return true;
    case DataType::kUint16:
      unpack<std::uint16_t>(data, [&out](auto v) { out.add_uint_contents(v); });
      return true;
    case DataType::kUint32:
      unpack<std::uint32_t>(data, [&out](auto v) { out.add_uint_contents(v); });
      return true;
    case DataType::kUint64:
      unpack<std::uint64_t>(data, [&out](auto v) { out.add_uint64_contents(v); });
      return true;
    case DataType::kFp32:
      unpack<float>(data, [&out](auto v) { out.add_fp32_contents(v); });
      return true;
    case DataType::kFp64:
      unpack<double>(data, [&out](auto v) { out.add_fp64_contents(v); });
      return true;
    case DataType::kBytes:
      unpack_bytes(data, out);
      return true;
    case DataType::kFp16:
    case DataType::kBf16:
      return false;
  }
  return false;
}

constexpr int kMaxInputs = 256;

Result<std::uint64_t> whole_parameter(const std::string& key,
                                      const ::inference::InferParameter& in) {
  if (in.has_uint64_param()) {
    return in.uint64_param();
  }
  if (in.has_int64_param() && in.int64_param() >= 0) {
    return static_cast<std::uint64_t>(in.int64_param());
  }
  return Error{Error::Code::kInvalidArgument,
               "parameter " + key + ": must be a whole number, not negative"};
}

// The bytes of input `index`; `raw` is the next of raw_input_contents that is not taken, null
// without any.
Result<std::string> data_of(const ::inference::ModelInferRequest::InferInputTensor& in,
                            DataType type,
                            std::string* shared,
                            const std::string* raw) {
  if (shared != nullptr) {
    if (in.has_contents()) {
      return bad_input(in.name(), "contents and shared memory together");
    }
    return std::move(*shared);
  }
  if (raw != nullptr) {
    if (in.has_contents()) {
      return bad_input(in.name(), "contents and raw_input_contents together");
    }
    return *raw;
  }
  return typed_data(in.name(), type, in.contents());
}

}  // namespace

Result<std::optional<SharedPlace>> shared_place(const OipParameters& parameters) {
  const auto region = parameters.find("shared_memory_region");
  if (region == parameters.end()) {
    return std::optional<SharedPlace>{};
  }
  if (!region->second.has_string_param()) {
    return Error{Error::Code::kInvalidArgument, "parameter shared_memory_region: must be a string"};
  }
  SharedPlace place;
  place.region = region->second.string_param();
  const auto bytes = parameters.find("shared_memory_byte_size");
  if (bytes == parameters.end()) {
    return Error{Error::Code::kInvalidArgument,
                 "parameter shared_memory_byte_size: is needed beside shared_memory_region"};
  }
  const Result<std::uint64_t> size = whole_parameter("shared_memory_byte_size", bytes->second);
  if (!size) {
    return size.error();
  }
  place.bytes = *size;
  if (const auto offset = parameters.find("shared_memory_offset"); offset != parameters.end()) {
    const Result<std::uint64_t> from = whole_parameter("shared_memory_offset", offset->second);
    if (!from) {
      return from.error();
    }
    place.offset = *from;
  }
  return std::optional<SharedPlace>{std::move(place)};
}

Result<std::vector<runtime::Tensor>> tensors_of(const ::inference::ModelInferRequest& request,
                                                SharedInputs shared) {
  if (request.inputs_size() > kMaxInputs) {
    return Error{Error::Code::kInvalidArgument, "inputs: at most 256 are taken"};
  }
  const bool raw = request.raw_input_contents_size() > 0;
  const int sent = request.inputs_size() - static_cast<int>(shared.size());
  if (raw && request.raw_input_contents_size() != sent) {
    return Error{Error::Code::kInvalidArgument,
                 "raw_input_contents: " + std::to_string(request.raw_input_contents_size()) +
                     " for " + std::to_string(sent) +
                     " inputs; if one input is raw, all are, in order"};
  }
  std::vector<runtime::Tensor> tensors;
  int next_raw = 0;
  for (int i = 0; i < request.inputs_size(); ++i) {
    const auto& in = request.inputs(i);
    Result<DataType> type = runtime::parse_data_type(in.datatype());
    if (!type) {
      return type.error().with_context("input \"" + in.name() + "\"");
    }
    runtime::Tensor tensor;
    tensor.name = in.name();
    tensor.type = *type;
    tensor.shape.assign(in.shape().begin(), in.shape().end());
    const auto lent = shared.find(i);
    std::string* const in_memory = lent == shared.end() ? nullptr : &lent->second;
    const std::string* const in_raw =
        raw && in_memory == nullptr ? &request.raw_input_contents(next_raw++) : nullptr;
    Result<std::string> data = data_of(in, *type, in_memory, in_raw);
    if (!data) {
      return data.error();
    }
    tensor.data = *std::move(data);
    if (Result<void> checked = runtime::check_tensor(tensor); !checked) {
      return checked.error();
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void fill_outputs(const std::vector<runtime::Tensor>& outputs,
                  bool raw,
                  ::inference::ModelInferResponse* response,
                  const PlacedOutputs& placed) {
  // One tensor without a typed form makes the whole answer raw, as the protocol asks.
  const bool all_raw =
      raw || !placed.empty() ||
      std::any_of(outputs.begin(), outputs.end(), [](const runtime::Tensor& tensor) {
        return tensor.type == DataType::kFp16 || tensor.type == DataType::kBf16;
      });
  for (const runtime::Tensor& tensor : outputs) {
    auto& out = *response->add_outputs();
    out.set_name(tensor.name);
    out.set_datatype(std::string{to_string(tensor.type)});
    out.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
    if (const auto place = placed.find(tensor.name); place != placed.end()) {
      auto& parameters = *out.mutable_parameters();
      parameters["shared_memory_region"].set_string_param(place->second.region);
      parameters["shared_memory_offset"].set_int64_param(
          static_cast<std::int64_t>(place->second.offset));
      parameters["shared_memory_byte_size"].set_int64_param(
          static_cast<std::int64_t>(place->second.bytes));
      response->add_raw_output_contents();
      continue;
    }
    if (all_raw || !fill_typed(tensor, *out.mutable_contents())) {
      response->add_raw_output_contents(tensor.data);
    }
  }
}

}  // namespace skerry::agent
