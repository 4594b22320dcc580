#pragma once

// Two versions of a small GGUF model with real-looking blocks: weights of a bell shape, quantized
// here by the plain rule of each format, and the same weights moved a little. For tests of deltas;
// integers only, so that the bytes are the same everywhere.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "skerry/common/random.hpp"

#include "gguf_bytes.hpp"

namespace skerry::test {

// Sums of eight dice between -1024 and 1023: about ±2900 around zero.
class Weights {
 public:
  explicit Weights(std::uint64_t seed) : random_(seed) {}
  std::int32_t next() {
    if (at_ + 16 > bytes_.size()) {
      random_.fill(bytes_);
      at_ = 0;
    }
    std::int32_t sum = 0;
    for (int i = 0; i < 8; ++i, at_ += 2) {
      sum += ((bytes_[at_] | bytes_[at_ + 1] << 8U) & 2047) - 1024;
    }
    return sum;
  }

 private:
  FakeRandom random_;
  std::array<std::uint8_t, 4096> bytes_{};
  std::size_t at_ = 4096;
};

// The binary16 nearest below `value` / 2^14, for value > 0.
inline std::uint16_t half_of(std::int32_t value) {
  int exponent = 0;
  while ((value >> exponent) >= 2048) {
    ++exponent;
  }
  while (exponent > -10 && exponent <= 0 && (value << 1 << -exponent) < 2048) {
    --exponent;
  }
  const std::int32_t mantissa = exponent >= 0 ? value >> exponent : value << -exponent;
  return static_cast<std::uint16_t>(((exponent + 11) << 10) | (mantissa & 1023));
}

inline void put_half(std::string& out, std::uint16_t bits) {
  GgufBytes::put(out, bits, 2);
}

// Blocks of the GGUF type `type` (0 F32, 1 F16, 2 Q4_0, 8 Q8_0, 12 Q4_K, 13 Q5_K, 14 Q6_K, 30 BF16)
// for `weights`.
inline std::string blocks_of(std::uint32_t type, const std::vector<std::int32_t>& weights) {
  std::string out;
  const auto peak = [&](std::size_t at, std::size_t count) {
    std::int32_t most = 1;
    for (std::size_t i = at; i < at + count; ++i) {
      most = std::max(most, std::abs(weights[i]));
    }
    return most;
  };
  const auto rounded = [](std::int32_t w, std::int32_t steps, std::int32_t peak_value) {
    return (2 * w * steps + (w < 0 ? -peak_value : peak_value)) / (2 * peak_value);
  };
  if (type == 0 || type == 1 || type == 30) {
    for (const std::int32_t w : weights) {
      const std::uint32_t bits =
          (w < 0 ? 0x80000000U : 0U) | 0x3c000000U | static_cast<std::uint32_t>(std::abs(w)) << 9U;
      GgufBytes::put(out,
                     type == 0    ? bits
                     : type == 30 ? bits >> 16U
                                  : (bits >> 16U & 0x8000U) | half_of(std::abs(w) + 1),
                     type == 0 ? 4 : 2);
    }
    return out;
  }
  const std::size_t block = type == 2 || type == 8 ? 32 : 256;
  for (std::size_t at = 0; at + block <= weights.size(); at += block) {
    const std::int32_t most = peak(at, block);
    if (type == 8) {
      put_half(out, half_of(most));
      for (std::size_t i = 0; i < 32; ++i) {
        out.push_back(static_cast<char>(rounded(weights[at + i], 127, most)));
      }
    } else if (type == 2) {
      put_half(out, half_of(8 * most));
      for (std::size_t i = 0; i < 16; ++i) {
        const auto low = std::clamp(rounded(weights[at + i], 8, most) + 8, 0, 15);
        const auto high = std::clamp(rounded(weights[at + 16 + i], 8, most) + 8, 0, 15);
        out.push_back(static_cast<char>(low | high << 4));
      }
    } else {
      // Inner scales from the groups' peaks; the codes of the K formats as bytes of the right
      // spread.
      std::string inner;
      std::string codes;
      for (std::size_t g = 0; g < 16; ++g) {
        inner.push_back(static_cast<char>(rounded(peak(at + 16 * g, 16), 63, most)));
      }
      for (std::size_t i = 0; i < 128; ++i) {
        const auto low = std::clamp(rounded(weights[at + i], 8, most) + 8, 0, 15);
        const auto high = std::clamp(rounded(weights[at + 128 + i], 8, most) + 8, 0, 15);
        codes.push_back(static_cast<char>(low | high << 4));
      }
      if (type == 14) {
        out += codes + codes.substr(0, 64) + inner;
        put_half(out, half_of(most));
      } else {
        put_half(out, half_of(most));
        put_half(out, half_of(2 * most));
        out += inner.substr(0, 12) + (type == 13 ? codes.substr(0, 32) : std::string{}) + codes;
      }
    }
  }
  return out;
}

struct PairTensor {
  std::string name;
  std::uint32_t type = 0;
  std::vector<std::uint64_t> dims;
};

// A GGUF file of these tensors; `moved` names those whose weights moved by about a part in `part`.
// Equal arguments give equal bytes.
inline std::string model_bytes(const std::vector<PairTensor>& tensors,
                               const std::vector<std::string>& moved = {},
                               std::int32_t part = 100,
                               std::string_view description = "first") {
  GgufBytes gguf;
  gguf.text("general.architecture", "llama").text("general.description", description);
  std::string data;
  std::uint64_t seed = 1;
  for (const auto& tensor : tensors) {
    std::uint64_t elements = 1;
    for (const auto dim : tensor.dims) {
      elements *= dim;
    }
    Weights source{seed};
    Weights change{seed + 1000};
    const bool moves = std::find(moved.begin(), moved.end(), tensor.name) != moved.end();
    std::vector<std::int32_t> weights(static_cast<std::size_t>(elements));
    for (auto& weight : weights) {
      weight = 16 * source.next();
      weight += moves ? 16 * change.next() / part : 0;
    }
    data.resize((data.size() + 31) / 32 * 32, '\0');
    gguf.tensors.push_back({tensor.name, tensor.dims, tensor.type, data.size()});
    data += blocks_of(tensor.type, weights);
    ++seed;
  }
  std::string out = gguf.bytes();
  return out + data;
}

}  // namespace skerry::test
