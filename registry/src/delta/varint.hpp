#pragma once

// Numbers of seven bits a byte, low first (LEB128), as the delta format writes them.

#include <cstdint>

#include "skerry/common/bytes.hpp"

namespace skerry::registry::delta {

inline void put_varint(Bytes& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::uint8_t>(value | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<std::uint8_t>(value));
}

// Reads forwards with a sticky failure; zeros after it.
class VarintReader {
 public:
  explicit VarintReader(ByteView bytes) : bytes_(bytes) {}

  std::uint8_t byte() {
    if (at_ == bytes_.size()) {
      ok_ = false;
      return 0;
    }
    return bytes_[at_++];
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
      const std::uint8_t next = byte();
      value |= std::uint64_t{next & 0x7fU} << shift;
      if ((next & 0x80U) == 0) {
        return ok_ ? value : 0;
      }
    }
    ok_ = false;
    return 0;
  }
  ByteView take(std::size_t size) {
    if (size > left()) {
      ok_ = false;
      return {};
    }
    at_ += size;
    return bytes_.subspan(at_ - size, size);
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - at_; }

 private:
  ByteView bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace skerry::registry::delta
