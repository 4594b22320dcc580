#include "skerry/runtime/text_filter.hpp"

#include <algorithm>
#include <cstdint>

namespace skerry::runtime {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

enum class Unit { kValid, kInvalid, kIncomplete };

struct Scan {
  Unit unit;
  std::size_t size;
};

// The range that the second byte must be in, after `lead` (Unicode 15, table 3-7).
struct SecondByte {
  std::uint8_t low;
  std::uint8_t high;
};

SecondByte second_byte_after(std::uint8_t lead) {
  switch (lead) {
    case 0xe0:
      return {0xa0, 0xbf};
    case 0xed:
      return {0x80, 0x9f};
    case 0xf0:
      return {0x90, 0xbf};
    case 0xf4:
      return {0x80, 0x8f};
    default:
      return {0x80, 0xbf};
  }
}

std::size_t length_of(std::uint8_t lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xc2 && lead <= 0xdf) {
    return 2;
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    return 4;
  }
  return 0;
}

// The first code point of non-empty `bytes`, or its maximal ill-formed part.
Scan scan_one(std::string_view bytes) {
  const auto lead = static_cast<std::uint8_t>(bytes[0]);
  const std::size_t length = length_of(lead);
  if (length == 0) {
    return {Unit::kInvalid, 1};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) {
      return {Unit::kIncomplete, i};
    }
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    const SecondByte range = i == 1 ? second_byte_after(lead) : SecondByte{0x80, 0xbf};
    if (byte < range.low || byte > range.high) {
      return {Unit::kInvalid, i};
    }
  }
  return {Unit::kValid, length};
}

// Appends what is complete to `text` and returns how many bytes were used.
std::size_t take_complete(std::string_view bytes, std::string& text) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const Scan scan = scan_one(bytes.substr(at));
    if (scan.unit == Unit::kIncomplete) {
      break;
    }
    text += scan.unit == Unit::kValid ? bytes.substr(at, scan.size) : kReplacement;
    at += scan.size;
  }
  return at;
}

// Length of the longest suffix of `text` that begins `stop` without completing it.
std::size_t overlap(std::string_view text, std::string_view stop) {
  for (std::size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == stop.substr(0, n)) {
      return n;
    }
  }
  return 0;
}

}  // namespace

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  if (take_complete(bytes, text) < bytes.size()) {
    text += kReplacement;
  }
  return text;
}

std::string TextFilter::push(std::string_view bytes) {
  if (stopped_) {
    return {};
  }
  partial_ += bytes;
  partial_.erase(0, take_complete(partial_, held_));

  std::size_t found = std::string::npos;
  for (const std::string& stop : stop_) {
    const std::size_t at = held_.find(stop);
    if (at < found) {
      found = at;
      match_ = stop;
    }
  }
  if (found != std::string::npos) {
    stopped_ = true;
    partial_.clear();
    std::string text = held_.substr(0, found);
    held_.clear();
    return text;
  }
  std::size_t keep = 0;
  for (const std::string& stop : stop_) {
    keep = std::max(keep, overlap(held_, stop));
  }
  std::string text = held_.substr(0, held_.size() - keep);
  held_.erase(0, held_.size() - keep);
  return text;
}

std::string TextFilter::finish() {
  if (stopped_) {
    return {};
  }
  std::string text = std::move(held_);
  held_.clear();
  if (!partial_.empty()) {
    text += kReplacement;
    partial_.clear();
  }
  return text;
}

}  // namespace skerry::runtime
