#include "skerry/cli/terminal_text.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace skerry::cli {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// Bytes of the code point that `lead` begins; 0: it begins none.
std::size_t length_of(unsigned char lead) {
  if (lead < 0x80U) {
    return 1;
  }
  if (lead >= 0xC2U && lead <= 0xDFU) {
    return 2;
  }
  if (lead >= 0xE0U && lead <= 0xEFU) {
    return 3;
  }
  return lead >= 0xF0U && lead <= 0xF4U ? 4 : 0;
}

struct Decoded {
  char32_t point = 0;
  std::size_t length = 0;
  bool cut = false;
};

// The code point at the start of `text`. Without one: the length of what is to be replaced, or
// `cut` if more bytes could complete it.
std::pair<bool, Decoded> decode(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  Decoded decoded;
  decoded.length = length_of(byte(0));
  if (decoded.length <= 1) {
    decoded.point = byte(0);
    const bool good = decoded.length == 1;
    decoded.length = 1;
    return {good, decoded};
  }
  decoded.point = byte(0) & (0xFFU >> (decoded.length + 1));
  for (std::size_t i = 1; i < decoded.length; ++i) {
    if (i == text.size()) {
      decoded.cut = true;
      return {false, decoded};
    }
    if ((byte(i) & 0xC0U) != 0x80U) {
      decoded.length = i;
      return {false, decoded};
    }
    decoded.point = (decoded.point << 6U) | (byte(i) & 0x3FU);
  }
  const bool overlong = (decoded.length == 3 && decoded.point < 0x800U) ||
                        (decoded.length == 4 && decoded.point < 0x10000U);
  const bool outside =
      decoded.point > 0x10FFFFU || (decoded.point >= 0xD800U && decoded.point <= 0xDFFFU);
  return {!overlong && !outside, decoded};
}

// What stands for a code point that a terminal would act on; none: it is printed as it is.
std::optional<std::string> sign_for(char32_t point) {
  if (point == U'\n' || point == U'\t') {
    return std::nullopt;
  }
  if (point == U'\r') {
    // With a line feed it says nothing more; alone it would hide what stands before it.
    return "";
  }
  if (point < 0x20U || point == 0x7FU) {
    // The control pictures U+2400 to U+2421.
    const std::uint32_t picture = 0x2400U + (point == 0x7FU ? 0x21U : std::uint32_t{point});
    return std::string{static_cast<char>(0xE2U),
                       static_cast<char>(0x80U | ((picture >> 6U) & 0x3FU)),
                       static_cast<char>(0x80U | (picture & 0x3FU))};
  }
  const bool c1 = point >= 0x80U && point <= 0x9FU;
  // Overrides of the writing direction: what is shown would not be what is copied.
  const bool turns =
      (point >= 0x202AU && point <= 0x202EU) || (point >= 0x2066U && point <= 0x2069U);
  if (c1 || turns) {
    return std::string{kReplacement};
  }
  return std::nullopt;
}

}  // namespace

std::string TerminalText::clean(std::string_view piece) {
  const std::string text = std::exchange(held_, {}) + std::string{piece};
  std::string out;
  out.reserve(text.size());
  for (std::string_view rest{text}; !rest.empty();) {
    const auto [good, decoded] = decode(rest);
    if (decoded.cut) {
      held_ = rest;
      break;
    }
    if (!good) {
      out += kReplacement;
    } else if (const auto sign = sign_for(decoded.point)) {
      out += *sign;
    } else {
      out += rest.substr(0, decoded.length);
    }
    rest.remove_prefix(decoded.length);
  }
  return out;
}

std::string TerminalText::finish() {
  return std::exchange(held_, {}).empty() ? std::string{} : std::string{kReplacement};
}

}  // namespace skerry::cli
