#include "support.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace skerry_onnx {

namespace {

constexpr std::array<ElementType, 14> kTypes{{
    {SKERRY_TYPE_BOOL, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1, "BOOL"},
    {SKERRY_TYPE_UINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1, "UINT8"},
    {SKERRY_TYPE_UINT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, 2, "UINT16"},
    {SKERRY_TYPE_UINT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, 4, "UINT32"},
    {SKERRY_TYPE_UINT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, 8, "UINT64"},
    {SKERRY_TYPE_INT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, 1, "INT8"},
    {SKERRY_TYPE_INT16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, 2, "INT16"},
    {SKERRY_TYPE_INT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4, "INT32"},
    {SKERRY_TYPE_INT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8, "INT64"},
    {SKERRY_TYPE_FP16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2, "FP16"},
    {SKERRY_TYPE_FP32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4, "FP32"},
    {SKERRY_TYPE_FP64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8, "FP64"},
    {SKERRY_TYPE_BYTES, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, 0, "BYTES"},
    {SKERRY_TYPE_BF16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, 2, "BF16"},
}};

}  // namespace

std::uint32_t fail(skerry_error* error, std::uint32_t status, std::string_view message) {
  const std::size_t length = std::min(message.size(), sizeof error->message - 1);
  std::memcpy(error->message, message.data(), length);
  error->message[length] = '\0';
  return status;
}

void check(OrtStatus* status, std::uint32_t code, std::string_view what) {
  if (status == nullptr) {
    return;
  }
  const std::string message = ort()->GetErrorMessage(status);
  ort()->ReleaseStatus(status);
  const bool memory = message.find("bad_alloc") != std::string::npos ||
                      message.find("Failed to allocate memory") != std::string::npos;
  throw Failure{memory ? static_cast<std::uint32_t>(SKERRY_E_MEMORY) : code,
                std::string{what} + ": " + message};
}

const ElementType* find_datatype(std::uint32_t datatype) noexcept {
  const auto* found = std::find_if(kTypes.begin(), kTypes.end(), [datatype](const auto& type) {
    return type.datatype == datatype;
  });
  return found == kTypes.end() ? nullptr : found;
}

const ElementType* find_onnx_type(ONNXTensorElementDataType onnx) noexcept {
  const auto* found = std::find_if(
      kTypes.begin(), kTypes.end(), [onnx](const auto& type) { return type.onnx == onnx; });
  return found == kTypes.end() ? nullptr : found;
}

std::string datatype_name(std::uint32_t datatype) {
  const ElementType* type = find_datatype(datatype);
  return type == nullptr ? "datatype " + std::to_string(datatype) : std::string{type->name};
}

}  // namespace skerry_onnx
