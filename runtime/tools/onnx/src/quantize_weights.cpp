#include "quantize_weights.hpp"

#include <algorithm>
#include <cmath>

namespace skerry::runtime::onnx_tools {

namespace {

constexpr float kWeightMax = 127.0F;
// Leaves the accumulator room above a bias.
constexpr float kBiasMax = 1073741824.0F;
constexpr float kSmallestScale = 1.0e-30F;

float round_up(float value) {
  constexpr float kBits = 4096.0F;
  int exponent = 0;
  const float fraction = std::frexp(value, &exponent);
  return std::ldexp(std::ceil(fraction * kBits) / kBits, exponent);
}

template <class Integer>
Integer to_integer(float value, float low, float high) {
  return static_cast<Integer>(std::clamp(std::nearbyint(value), low, high));
}

}  // namespace

ActivationScale activation_scale(const Range& range) {
  const float width = range.high - range.low;
  if (!(width > kSmallestScale)) {
    return {};
  }
  const float scale = round_up(width / 255.0F);
  return {scale, to_integer<std::uint8_t>(-range.low / scale, 0.0F, 255.0F)};
}

QuantizedWeights quantize_weights(const std::vector<float>& weights,
                                  const std::vector<std::int64_t>& dims,
                                  int axis,
                                  const std::vector<float>& bias,
                                  float input_scale) {
  std::size_t inner = 1;
  std::size_t channels = 1;
  if (axis >= 0) {
    channels = static_cast<std::size_t>(dims[static_cast<std::size_t>(axis)]);
    for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < dims.size(); ++i) {
      inner *= static_cast<std::size_t>(dims[i]);
    }
  }
  const auto channel_of = [&](std::size_t i) { return axis < 0 ? 0 : i / inner % channels; };
  QuantizedWeights out;
  out.scales.assign(channels, 0.0F);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    float& scale = out.scales[channel_of(i)];
    scale = std::max(scale, std::abs(weights[i]) / kWeightMax);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    // A channel of tiny weights keeps a scale in which its bias still fits 32 bits.
    const float needed = bias.empty() ? 0.0F : std::abs(bias[c]) / (kBiasMax * input_scale);
    out.scales[c] = std::max({out.scales[c], needed, kSmallestScale / std::min(input_scale, 1.0F)});
  }
  out.values.reserve(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    out.values.push_back(
        to_integer<std::int8_t>(weights[i] / out.scales[channel_of(i)], -kWeightMax, kWeightMax));
  }
  for (std::size_t c = 0; c < bias.size(); ++c) {
    out.bias_scales.push_back(input_scale * out.scales[c]);
    out.bias.push_back(to_integer<std::int32_t>(bias[c] / out.bias_scales[c], -kBiasMax, kBiasMax));
  }
  return out;
}

}  // namespace skerry::runtime::onnx_tools
