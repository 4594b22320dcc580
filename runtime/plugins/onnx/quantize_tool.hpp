#pragma once

// The plugin's `tools.quantize`: type "int8-qdq" through skerry::onnx_quantize.

#include "support.hpp"

namespace skerry_onnx {

std::uint32_t quantize(skerry_runtime* runtime,
                       const skerry_quantize_request* request,
                       skerry_error* error);

}  // namespace skerry_onnx
