#pragma once

// Where ggml keeps scales and codes in its blocks (ggml-common.h), and how floats become number
// lines. Used by block_codec only.

#include <array>
#include <cstdint>
#include <cstring>

#include "fixed_point.hpp"

namespace skerry::registry::delta {

inline std::uint16_t load16(const std::uint8_t* at) {
  return static_cast<std::uint16_t>(at[0] | at[1] << 8U);
}
inline void store16(std::uint8_t* at, std::uint16_t value) {
  at[0] = static_cast<std::uint8_t>(value);
  at[1] = static_cast<std::uint8_t>(value >> 8U);
}

// block_q4_0: scale, then 16 bytes: low nibbles are codes 0 to 15, high ones 16 to 31.
struct Q4Zero {
  static constexpr std::size_t kBytes = 18;
  static void unpack(const std::uint8_t* block, std::array<std::int32_t, 32>& codes) {
    for (std::size_t i = 0; i < 16; ++i) {
      codes[i] = (block[2 + i] & 15) - 8;
      codes[i + 16] = (block[2 + i] >> 4U) - 8;
    }
  }
  static void pack(const std::array<std::int32_t, 32>& codes, std::uint8_t* block) {
    for (std::size_t i = 0; i < 16; ++i) {
      const auto low = static_cast<std::uint32_t>(codes[i]) + 8U;
      const auto high = static_cast<std::uint32_t>(codes[i + 16]) + 8U;
      block[2 + i] = static_cast<std::uint8_t>((low & 15U) | (high & 15U) << 4U);
    }
  }
};

// block_q8_0: scale, then 32 signed codes.
struct Q8Zero {
  static constexpr std::size_t kBytes = 34;
  static void unpack(const std::uint8_t* block, std::array<std::int32_t, 32>& codes) {
    for (std::size_t i = 0; i < 32; ++i) {
      codes[i] = static_cast<std::int8_t>(block[2 + i]);
    }
  }
  static void pack(const std::array<std::int32_t, 32>& codes, std::uint8_t* block) {
    for (std::size_t i = 0; i < 32; ++i) {
      block[2 + i] = static_cast<std::uint8_t>(codes[i]);
    }
  }
};

struct KScales {
  std::uint16_t d = 0;
  std::uint16_t m = 0;
  std::array<std::int32_t, 8> scale{};
  std::array<std::int32_t, 8> minimum{};
};

// block_q4_K and block_q5_K: two outer scales, eight 6-bit scales and minimums in 12 bytes, for
// Q5_K the fifth bits in 32 bytes, then 128 bytes: for each pair of groups, low nibbles the first,
// high ones the second.
template <unsigned kBits>
struct QK {
  static constexpr std::size_t kHighAt = 16;
  static constexpr std::size_t kCodesAt = kBits == 5 ? 48 : 16;
  static constexpr std::size_t kBytes = kCodesAt + 128;

  static KScales scales(const std::uint8_t* block) {
    KScales s;
    s.d = load16(block);
    s.m = load16(block + 2);
    const std::uint8_t* q = block + 4;
    for (std::size_t j = 0; j < 4; ++j) {
      s.scale[j] = q[j] & 63;
      s.minimum[j] = q[j + 4] & 63;
      s.scale[j + 4] = (q[j + 8] & 15) | (q[j] >> 6) << 4;
      s.minimum[j + 4] = (q[j + 8] >> 4) | (q[j + 4] >> 6) << 4;
    }
    return s;
  }
  static void store_scales(const KScales& s, std::uint8_t* block) {
    store16(block, s.d);
    store16(block + 2, s.m);
    std::uint8_t* q = block + 4;
    for (std::size_t j = 0; j < 4; ++j) {
      q[j] = static_cast<std::uint8_t>(s.scale[j] | (s.scale[j + 4] >> 4) << 6);
      q[j + 4] = static_cast<std::uint8_t>(s.minimum[j] | (s.minimum[j + 4] >> 4) << 6);
      q[j + 8] = static_cast<std::uint8_t>((s.scale[j + 4] & 15) | (s.minimum[j + 4] & 15) << 4);
    }
  }
  static void unpack(const std::uint8_t* block,
                     unsigned group,
                     std::array<std::int32_t, 32>& codes) {
    const std::uint8_t* q = block + kCodesAt + 32 * std::size_t{group / 2};
    const unsigned shift = 4 * (group % 2);
    for (std::size_t i = 0; i < 32; ++i) {
      codes[i] = (q[i] >> shift) & 15;
      if constexpr (kBits == 5) {
        codes[i] |= ((block[kHighAt + i] >> group) & 1) << 4;
      }
    }
  }
  // Into a block whose codes are zero.
  static void pack(const std::array<std::int32_t, 32>& codes, unsigned group, std::uint8_t* block) {
    std::uint8_t* q = block + kCodesAt + 32 * std::size_t{group / 2};
    const unsigned shift = 4 * (group % 2);
    for (std::size_t i = 0; i < 32; ++i) {
      q[i] = static_cast<std::uint8_t>(q[i] | (codes[i] & 15) << shift);
      if constexpr (kBits == 5) {
        block[kHighAt + i] =
            static_cast<std::uint8_t>(block[kHighAt + i] | ((codes[i] >> 4) & 1) << group);
      }
    }
  }
};

// block_q6_K: 128 bytes of low nibbles, 64 of high bit pairs, 16 signed inner scales, the outer
// scale.
struct Q6K {
  static constexpr std::size_t kInnerAt = 192;
  static constexpr std::size_t kScaleAt = 208;
  static constexpr std::size_t kBytes = 210;

  // Codes 16 * group … of the block; a group has one inner scale.
  static void unpack(const std::uint8_t* block,
                     unsigned group,
                     std::array<std::int32_t, 16>& codes) {
    const unsigned half = group / 8;
    const unsigned quarter = group % 8 / 2;
    const std::size_t at = 16 * std::size_t{group % 2};
    const std::uint8_t* low = block + 64 * std::size_t{half} + 32 * std::size_t{quarter % 2} + at;
    const std::uint8_t* high = block + 128 + 32 * std::size_t{half} + at;
    const unsigned shift = 4 * (quarter / 2);
    for (std::size_t i = 0; i < 16; ++i) {
      codes[i] = (((low[i] >> shift) & 15) | ((high[i] >> (2 * quarter)) & 3) << 4) - 32;
    }
  }
  // Into a block whose codes are zero bytes.
  static void pack(const std::array<std::int32_t, 16>& codes, unsigned group, std::uint8_t* block) {
    const unsigned half = group / 8;
    const unsigned quarter = group % 8 / 2;
    const std::size_t at = 16 * std::size_t{group % 2};
    std::uint8_t* low = block + 64 * std::size_t{half} + 32 * std::size_t{quarter % 2} + at;
    std::uint8_t* high = block + 128 + 32 * std::size_t{half} + at;
    const unsigned shift = 4 * (quarter / 2);
    for (std::size_t i = 0; i < 16; ++i) {
      const auto code = static_cast<std::uint32_t>(codes[i]) + 32U;
      low[i] = static_cast<std::uint8_t>(low[i] | (code & 15U) << shift);
      high[i] = static_cast<std::uint8_t>(high[i] | ((code >> 4U) & 3U) << (2 * quarter));
    }
  }
};

struct Half {
  using Word = std::uint16_t;
  static std::int32_t exponent(Word word) { return (word >> 10U) & 31; }
  static std::uint32_t to_ordinal(Word word) {
    return static_cast<std::uint32_t>(half_to_ordinal(word));
  }
  static Word from_ordinal(std::uint32_t ordinal) {
    return ordinal_to_half(static_cast<std::int32_t>(ordinal));
  }
};
struct Brain : Half {
  static std::int32_t exponent(Word word) { return (word >> 7U) & 255; }
};
struct Single {
  using Word = std::uint32_t;
  static std::int32_t exponent(Word word) {
    return static_cast<std::int32_t>((word >> 23U) & 255U);
  }
  static std::uint32_t to_ordinal(Word word) { return single_to_ordinal(word); }
  static Word from_ordinal(std::uint32_t ordinal) { return ordinal_to_single(ordinal); }
};

}  // namespace skerry::registry::delta
