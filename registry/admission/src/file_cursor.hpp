#pragma once

// A forward-only reader of part of a file through a small window, with a sticky error: after the
// first failure every read gives zero and the error is kept, so that parsing code stays readable
// and checks `ok()` once per loop. Used by the GGUF and ONNX checks.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

class FileCursor {
 public:
  // Reads `file` from 0 to `size`. `format` starts each message: "gguf", "onnx". Of the bytes read
  // or measured, at most `structure_limit` may be structure (everything but what `skip_data`
  // steps over).
  FileCursor(File& file,
             std::string_view format,
             std::uint64_t size,
             std::uint64_t structure_limit);

  [[nodiscard]] bool ok() const noexcept { return !error_.has_value(); }
  // The first failure; only when !ok().
  [[nodiscard]] const Error& error() const { return *error_; }
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  [[nodiscard]] std::uint64_t remaining() const noexcept { return size_ - position_; }

  // Keeps the first failure, as "<format>: <message> at offset <n>".
  void fail(std::string_view message) { fail_at(position_, message); }
  void fail_at(std::uint64_t offset, std::string_view message);
  void fail_limit(std::uint64_t offset, std::string_view message);

  // Fills `out` or fails with "truncated".
  void read(std::span<std::uint8_t> out);
  std::uint8_t u8();
  std::uint32_t u32();
  std::uint64_t u64();
  // `length` bytes as text. The caller checks the length against its own limit first.
  std::string text(std::uint64_t length);
  // Steps over structure bytes.
  void skip(std::uint64_t length);
  // Steps over bytes that no limit but the file's size bounds: the weights.
  void skip_data(std::uint64_t length);

 private:
  bool account(std::uint64_t length);
  bool refill();

  File& file_;
  std::string format_;
  std::uint64_t size_;
  std::uint64_t structure_limit_;
  std::uint64_t structure_used_ = 0;
  std::uint64_t position_ = 0;
  std::vector<std::uint8_t> window_;
  std::uint64_t window_begin_ = 0;
  std::size_t window_size_ = 0;
  std::optional<Error> error_;
};

}  // namespace skerry::registry
