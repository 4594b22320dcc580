#include "file_cursor.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace skerry::registry {

namespace {
constexpr std::size_t kWindow = std::size_t{64} * 1024;
}

FileCursor::FileCursor(File& file,
                       std::string_view format,
                       std::uint64_t size,
                       std::uint64_t structure_limit)
    : file_(file), format_(format), size_(size), structure_limit_(structure_limit) {
  window_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kWindow, size)));
}

void FileCursor::fail_at(std::uint64_t offset, std::string_view message) {
  if (ok()) {
    error_ = Error{Error::Code::kModelFormat,
                   format_ + ": " + std::string{message} + " at offset " + std::to_string(offset)};
  }
}

void FileCursor::fail_limit(std::uint64_t offset, std::string_view message) {
  if (ok()) {
    error_ = Error{Error::Code::kTooLarge,
                   format_ + ": " + std::string{message} + " at offset " + std::to_string(offset)};
  }
}

bool FileCursor::account(std::uint64_t length) {
  if (!ok()) {
    return false;
  }
  if (length > remaining()) {
    fail("truncated: " + std::to_string(length) + " bytes expected, " +
         std::to_string(remaining()) + " left");
    return false;
  }
  if (length > structure_limit_ - structure_used_) {
    fail_limit(position_,
               "structure is larger than " + std::to_string(structure_limit_) + " bytes");
    return false;
  }
  structure_used_ += length;
  return true;
}

bool FileCursor::refill() {
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(window_.size(), remaining()));
  auto got = file_.read_at(position_, std::span{window_.data(), want});
  if (!got) {
    error_ = got.error().with_context(format_);
    return false;
  }
  if (*got == 0) {
    fail("the file became shorter while it was read");
    return false;
  }
  window_begin_ = position_;
  window_size_ = *got;
  return true;
}

void FileCursor::read(std::span<std::uint8_t> out) {
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  if (!account(out.size())) {
    return;
  }
  while (!out.empty()) {
    const bool inside = position_ >= window_begin_ && position_ < window_begin_ + window_size_;
    if (!inside && !refill()) {
      return;
    }
    const auto at = static_cast<std::size_t>(position_ - window_begin_);
    const std::size_t count = std::min(out.size(), window_size_ - at);
    std::memcpy(out.data(), window_.data() + at, count);
    out = out.subspan(count);
    position_ += count;
  }
}

std::uint8_t FileCursor::u8() {
  std::array<std::uint8_t, 1> bytes{};
  read(bytes);
  return bytes[0];
}

std::uint32_t FileCursor::u32() {
  std::array<std::uint8_t, 4> bytes{};
  read(bytes);
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8U) | bytes[i - 1];
  }
  return value;
}

std::uint64_t FileCursor::u64() {
  const std::uint64_t low = u32();
  const std::uint64_t high = u32();
  return low | (high << 32U);
}

std::string FileCursor::text(std::uint64_t length) {
  if (!ok()) {
    return {};
  }
  if (length > remaining()) {
    fail("truncated: a string of " + std::to_string(length) + " bytes, " +
         std::to_string(remaining()) + " left");
    return {};
  }
  std::string out(static_cast<std::size_t>(length), '\0');
  read({reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return ok() ? out : std::string{};
}

void FileCursor::skip(std::uint64_t length) {
  if (account(length)) {
    position_ += length;
  }
}

void FileCursor::skip_data(std::uint64_t length) {
  if (!ok()) {
    return;
  }
  if (length > remaining()) {
    fail("truncated: " + std::to_string(length) + " bytes of data expected, " +
         std::to_string(remaining()) + " left");
    return;
  }
  position_ += length;
}

}  // namespace skerry::registry
