#include "skerry/common/bytes.hpp"

#include <array>

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace skerry {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

int hex_value(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  if (c == '+') {
    return 62;
  }
  return c == '/' ? 63 : -1;
}

Error base64_error(std::size_t offset) {
  return {Error::Code::kParse, "not base64 at character " + std::to_string(offset)};
}

// Length of the UTF-8 sequence that `lead` starts and the range its second byte must be in; 0 if
// none.
struct Utf8Form {
  std::size_t length;
  unsigned char second_min;
  unsigned char second_max;
};

Utf8Form utf8_form(unsigned char lead) {
  if (lead >= 0xc2 && lead <= 0xdf) {
    return {2, 0x80, 0xbf};
  }
  if (lead == 0xe0) {
    return {3, 0xa0, 0xbf};
  }
  if (lead == 0xed) {
    return {3, 0x80, 0x9f};
  }
  if (lead >= 0xe1 && lead <= 0xef) {
    return {3, 0x80, 0xbf};
  }
  if (lead == 0xf0) {
    return {4, 0x90, 0xbf};
  }
  if (lead >= 0xf1 && lead <= 0xf3) {
    return {4, 0x80, 0xbf};
  }
  if (lead == 0xf4) {
    return {4, 0x80, 0x8f};
  }
  return {0, 0, 0};
}

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text.push_back(kHexDigits[byte >> 4U]);
    text.push_back(kHexDigits[byte & 15U]);
  }
  return text;
}

Result<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) {
    return Error{Error::Code::kParse,
                 "hexadecimal text of odd length " + std::to_string(hex.size())};
  }
  Bytes bytes;
  bytes.reserve(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = hex_value(hex[i]);
    const int low = hex_value(hex[i + 1]);
    if (high < 0 || low < 0) {
      return Error{Error::Code::kParse,
                   "not hexadecimal at character " + std::to_string(high < 0 ? i : i + 1)};
    }
    bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return bytes;
}

std::string to_base64(ByteView bytes) {
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  // EVP_EncodeBlock also writes a terminating zero, for which std::string has room.
  EVP_EncodeBlock(
      reinterpret_cast<unsigned char*>(text.data()), bytes.data(), static_cast<int>(bytes.size()));
  return text;
}

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    return Error{
        Error::Code::kParse,
        "base64 text of length " + std::to_string(text.size()) + ", which is no multiple of 4"};
  }
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t used = last ? 4 - padding : 4;
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      const int value = j < used ? base64_value(text[i + j]) : 0;
      if (value < 0) {
        return base64_error(i + j);
      }
      group = (group << 6U) | static_cast<std::uint32_t>(value);
    }
    const std::uint32_t unused_mask = used == 4 ? 0U : (used == 3 ? 0xffU : 0xffffU);
    if ((group & unused_mask) != 0) {
      return base64_error(i + used - 1);
    }
    for (std::size_t j = 0; j + 1 < used; ++j) {
      bytes.push_back(static_cast<std::uint8_t>(group >> (16 - 8 * j)));
    }
  }
  return bytes;
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const Utf8Form form = utf8_form(lead);
    if (form.length == 0 || i + form.length > text.size()) {
      return false;
    }
    const auto second = static_cast<unsigned char>(text[i + 1]);
    if (second < form.second_min || second > form.second_max) {
      return false;
    }
    for (std::size_t j = 2; j < form.length; ++j) {
      if ((static_cast<unsigned char>(text[i + j]) & 0xc0U) != 0x80U) {
        return false;
      }
    }
    i += form.length;
  }
  return true;
}

}  // namespace skerry
