#pragma once

// Static int8 quantization of a float ONNX model: runs it on calibration data, then writes the same
// graph with QuantizeLinear/DequantizeLinear pairs (QDQ) that engines fuse into integer operators.
// Called by the ONNX plugin's `tools.quantize` inside a worker, and by tests; `skerry model
// quantize` reaches it through a worker. What is quantized and how: docs/formats/onnx-int8.md.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "skerry/common/result.hpp"

namespace skerry::runtime {

struct OnnxQuantizeOptions {
  // Windows per calibration run where the model's first dimension is free.
  std::uint32_t batch = 16;
  // Called with 0 … 1 between runs; false stops with kCancelled. May be empty.
  std::function<bool(float)> progress;
};

// `model`: a ModelProto with one float32 input whose dimensions after the first are fixed, opset 13
// or newer, weights inside. `calibration`: float32 little-endian windows one after another, each as
// long as one input. Returns the quantized ModelProto; the same arguments give the same bytes on
// the same machine. Blocks while it computes; thread-safe.
//
// kModelLoad: malformed, already quantized, or nothing in it can be quantized. kInvalidArgument:
// calibration data that does not fit the input or has values that are not finite.
Result<std::string> quantize_onnx(std::span<const std::byte> model,
                                  std::span<const std::byte> calibration,
                                  const OnnxQuantizeOptions& options);

}  // namespace skerry::runtime
