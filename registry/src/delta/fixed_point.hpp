#pragma once

// Small floats as integers: what the prediction of quantized codes computes with. No floating point
// anywhere, so that x86, ARM and every compiler flag agree bit for bit.

#include <algorithm>
#include <bit>
#include <cstdint>

namespace skerry::registry::delta {

// mantissa * 2^exponent.
struct Scaled {
  std::int32_t mantissa = 0;
  std::int32_t exponent = 0;
};

// IEEE 754 binary16; infinities and NaNs are taken as large numbers (only a prediction suffers).
inline Scaled from_half(std::uint16_t bits) {
  const std::int32_t exponent = (bits >> 10U) & 31;
  std::int32_t mantissa = bits & 1023;
  if (exponent != 0) {
    mantissa |= 1024;
  }
  return {(bits & 0x8000U) != 0 ? -mantissa : mantissa, std::max(exponent, 1) - 25};
}

inline constexpr std::int32_t kFixedOne = 1 << 16;
inline constexpr std::int64_t kRatioLimit = std::int64_t{1} << 22U;   // 64.0
inline constexpr std::int64_t kOffsetLimit = std::int64_t{1} << 28U;  // 4096.0

// numerator * 2^exponent / denominator in 16.16, limited to ±limit. The denominator is not 0;
// |numerator| is below 2^52.
inline std::int32_t fixed_quotient(std::int64_t numerator,
                                   std::int32_t exponent,
                                   std::int64_t denominator,
                                   std::int64_t limit) {
  const std::int32_t shift = exponent + 16;
  if (numerator == 0) {
    return 0;
  }
  const bool negative = (numerator < 0) != (denominator < 0);
  auto above = static_cast<std::uint64_t>(numerator < 0 ? -numerator : numerator);
  auto below = static_cast<std::uint64_t>(denominator < 0 ? -denominator : denominator);
  if (shift >= 0) {
    above = std::countl_zero(above) > shift ? above << static_cast<unsigned>(shift) : UINT64_MAX;
  } else {
    below = std::countl_zero(below) > -shift ? below << static_cast<unsigned>(-shift) : UINT64_MAX;
  }
  const auto quotient =
      static_cast<std::int64_t>(std::min(above / below, static_cast<std::uint64_t>(limit)));
  return static_cast<std::int32_t>(negative ? -quotient : quotient);
}

// Four times the binary logarithm of |value|, rounded down; a low number for 0.
inline std::int32_t quarter_log(Scaled value) {
  if (value.mantissa == 0) {
    return -1000;
  }
  const auto magnitude = static_cast<std::uint32_t>(std::abs(value.mantissa));
  const auto width = static_cast<std::int32_t>(std::bit_width(magnitude));
  const std::uint32_t top = width >= 3 ? magnitude >> (width - 3) : magnitude << (3 - width);
  return 4 * (width + value.exponent) + static_cast<std::int32_t>(top & 3U);
}

// Sign and magnitude as one number line: neighbours differ by one unit in the last place, and -0
// has its own place.
inline std::int32_t half_to_ordinal(std::uint16_t bits) {
  const std::int32_t magnitude = bits & 0x7fff;
  return (bits & 0x8000U) != 0 ? -1 - magnitude : magnitude;
}
inline std::uint16_t ordinal_to_half(std::int32_t ordinal) {
  return static_cast<std::uint16_t>(ordinal < 0 ? 0x8000 | ((-1 - ordinal) & 0x7fff)
                                                : ordinal & 0x7fff);
}
inline std::uint32_t single_to_ordinal(std::uint32_t bits) {
  return (bits & 0x80000000U) != 0 ? ~(bits & 0x7fffffffU) : bits;
}
inline std::uint32_t ordinal_to_single(std::uint32_t ordinal) {
  return (ordinal & 0x80000000U) != 0 ? ~ordinal | 0x80000000U : ordinal;
}

}  // namespace skerry::registry::delta
