#pragma once

// Numbers of the quantization: scales, zero points, and int8 weights with int32 biases. Used by the
// quantizer.

#include <cstdint>
#include <vector>

#include "calibration.hpp"

namespace skerry::runtime::onnx_tools {

// Of an activation: uint8, asymmetric.
struct ActivationScale {
  float scale = 1;
  std::uint8_t zero_point = 0;
};
// The scale is rounded up to 12 significant bits, so that differences of the last bits between
// processors do not reach the file.
ActivationScale activation_scale(const Range& range);

// int8, symmetric, one scale per channel (or one for all), zero point 0.
struct QuantizedWeights {
  std::vector<std::int8_t> values;
  std::vector<float> scales;
  // int32 with scale `input scale × scales[channel]`; empty without a bias.
  std::vector<std::int32_t> bias;
  std::vector<float> bias_scales;
};

// `axis` -1: one scale. `bias` is empty or has one value per channel.
QuantizedWeights quantize_weights(const std::vector<float>& weights,
                                  const std::vector<std::int64_t>& dims,
                                  int axis,
                                  const std::vector<float>& bias,
                                  float input_scale);

}  // namespace skerry::runtime::onnx_tools
