#include "skerry/runtime/request.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "skerry/runtime/model_info.hpp"

namespace skerry::runtime {
namespace {

struct DataTypeRow {
  DataType type;
  std::string_view name;
  std::size_t bytes;
};

constexpr DataTypeRow kDataTypes[] = {
    {DataType::kBool, "BOOL", 1},
    {DataType::kUint8, "UINT8", 1},
    {DataType::kUint16, "UINT16", 2},
    {DataType::kUint32, "UINT32", 4},
    {DataType::kUint64, "UINT64", 8},
    {DataType::kInt8, "INT8", 1},
    {DataType::kInt16, "INT16", 2},
    {DataType::kInt32, "INT32", 4},
    {DataType::kInt64, "INT64", 8},
    {DataType::kFp16, "FP16", 2},
    {DataType::kFp32, "FP32", 4},
    {DataType::kFp64, "FP64", 8},
    {DataType::kBytes, "BYTES", 0},
    {DataType::kBf16, "BF16", 2},
};

constexpr std::size_t kMaxRank = 8;

Error invalid(std::string message) {
  return Error{Error::Code::kInvalidArgument, std::move(message)};
}

// The number of elements, or nothing when the product does not fit.
std::optional<std::uint64_t> count_elements(const std::vector<std::int64_t>& shape) {
  std::uint64_t count = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) {
      return std::nullopt;
    }
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(dimension), &count)) {
      return std::nullopt;
    }
  }
  return count;
}

// BYTES: each element is a little-endian uint32 length and that many bytes.
bool holds_elements(std::string_view data, std::uint64_t elements) {
  std::size_t at = 0;
  for (std::uint64_t i = 0; i < elements; ++i) {
    if (data.size() - at < 4) {
      return false;
    }
    std::uint32_t length = 0;
    for (std::size_t byte = 4; byte-- > 0;) {
      length = (length << 8U) | static_cast<std::uint8_t>(data[at + byte]);
    }
    at += 4;
    if (data.size() - at < length) {
      return false;
    }
    at += length;
  }
  return at == data.size();
}

}  // namespace

std::string_view to_string(PriorityClass priority) noexcept {
  switch (priority) {
    case PriorityClass::kInteractive:
      return "interactive";
    case PriorityClass::kNormal:
      return "normal";
    case PriorityClass::kBatch:
      return "batch";
  }
  return "unknown";
}

std::string_view to_string(FinishReason reason) noexcept {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string_view to_string(WorkerState state) noexcept {
  switch (state) {
    case WorkerState::kStopped:
      return "stopped";
    case WorkerState::kStarting:
      return "starting";
    case WorkerState::kReady:
      return "ready";
    case WorkerState::kBackOff:
      return "back_off";
    case WorkerState::kFailed:
      return "failed";
  }
  return "unknown";
}

Result<void> check_sampling(const SamplingParams& params) {
  if (!std::isfinite(params.temperature) || params.temperature < 0.0F ||
      params.temperature > 100.0F) {
    return invalid("temperature must be between 0 and 100");
  }
  if (!(params.top_p > 0.0F && params.top_p <= 1.0F)) {
    return invalid("top_p must be above 0 and at most 1");
  }
  if (!(params.min_p >= 0.0F && params.min_p < 1.0F)) {
    return invalid("min_p must be at least 0 and below 1");
  }
  if (!(params.repeat_penalty > 0.0F && params.repeat_penalty <= 10.0F)) {
    return invalid("repeat_penalty must be above 0 and at most 10");
  }
  if (!(params.frequency_penalty >= -2.0F && params.frequency_penalty <= 2.0F)) {
    return invalid("frequency_penalty must be between -2 and 2");
  }
  if (!(params.presence_penalty >= -2.0F && params.presence_penalty <= 2.0F)) {
    return invalid("presence_penalty must be between -2 and 2");
  }
  return {};
}

std::string_view to_string(DataType type) noexcept {
  for (const DataTypeRow& row : kDataTypes) {
    if (row.type == type) {
      return row.name;
    }
  }
  return "unknown";
}

Result<DataType> parse_data_type(std::string_view name) {
  for (const DataTypeRow& row : kDataTypes) {
    if (row.name == name) {
      return row.type;
    }
  }
  return invalid("unknown datatype \"" + std::string{name} +
                 "\": use BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES");
}

std::size_t element_size(DataType type) noexcept {
  for (const DataTypeRow& row : kDataTypes) {
    if (row.type == type) {
      return row.bytes;
    }
  }
  return 0;
}

Result<void> check_tensor(const Tensor& tensor) {
  const std::string what = "tensor \"" + tensor.name + "\"";
  if (tensor.name.empty()) {
    return invalid("a tensor has no name");
  }
  if (to_string(tensor.type) == "unknown") {
    return invalid(what + " has an unknown datatype");
  }
  if (tensor.shape.size() > kMaxRank) {
    return invalid(what + " has " + std::to_string(tensor.shape.size()) +
                   " dimensions, at most 8 are allowed");
  }
  const auto elements = count_elements(tensor.shape);
  if (!elements) {
    return invalid(what + " has a negative dimension or more elements than fit");
  }
  if (tensor.type == DataType::kBytes) {
    if (*elements > tensor.data.size() / 4 || !holds_elements(tensor.data, *elements)) {
      return invalid(what + " does not hold " + std::to_string(*elements) +
                     " length-prefixed elements in " + std::to_string(tensor.data.size()) +
                     " bytes");
    }
    return {};
  }
  const std::uint64_t size = element_size(tensor.type);
  if (*elements > std::numeric_limits<std::uint64_t>::max() / size ||
      *elements * size != tensor.data.size()) {
    return invalid(what + " of " + std::to_string(*elements) + " " +
                   std::string{to_string(tensor.type)} + " elements has " +
                   std::to_string(tensor.data.size()) + " bytes");
  }
  return {};
}

const RequestMeta& meta_of(const Request& request) {
  return std::visit([](const auto& one) -> const RequestMeta& { return one.meta; }, request);
}

}  // namespace skerry::runtime
