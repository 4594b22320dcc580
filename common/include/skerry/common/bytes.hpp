#pragma once

// Text forms of bytes (hexadecimal, base64) and the comparison that leaks no timing. Used by every
// module.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);
// Accepts lower and upper case; kParse for an odd length or another character.
Result<Bytes> from_hex(std::string_view hex);

// Standard base64 (RFC 4648 §4) with padding.
std::string to_base64(ByteView bytes);
// kParse for any character outside the alphabet, wrong padding or trailing bits; no white space is
// skipped.
Result<Bytes> from_base64(std::string_view text);

// Takes the same time wherever the first difference is. False at once if the lengths differ.
bool equal_constant_time(ByteView a, ByteView b) noexcept;

// True for well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text) noexcept;

}  // namespace skerry
