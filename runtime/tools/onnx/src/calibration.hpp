#pragma once

// Runs the float model on calibration data and measures the range of the values that will be
// quantized. Used by the quantizer.

#include <map>
#include <set>
#include <span>
#include <string>

#include "skerry/runtime/onnx_quantize.hpp"

#include "model_edit.hpp"

namespace skerry::runtime::onnx_tools {

// Always contains zero.
struct Range {
  float low = 0;
  float high = 0;
};

// kInvalidArgument: the data does not fit the model's input; kModelLoad: the engine refuses the
// model; kCancelled.
Result<std::map<std::string, Range>> measure_ranges(const ModelEdit& edit,
                                                    const std::set<std::string>& values,
                                                    std::span<const std::byte> calibration,
                                                    const OnnxQuantizeOptions& options);

}  // namespace skerry::runtime::onnx_tools
