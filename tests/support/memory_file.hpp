#pragma once

// A read-only `File` over bytes in memory, for parsers of files: unit tests and fuzz targets.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "skerry/common/file_system.hpp"

namespace skerry::test {

class MemoryFile final : public File {
 public:
  explicit MemoryFile(std::string bytes) : bytes_(std::move(bytes)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    std::size_t largest = largest_read_.load(std::memory_order_relaxed);
    while (largest < out.size() && !largest_read_.compare_exchange_weak(largest, out.size())) {
    }
    if (offset >= bytes_.size()) {
      return std::size_t{0};
    }
    const std::size_t count =
        std::min(out.size(), bytes_.size() - static_cast<std::size_t>(offset));
    if (count > 0) {  // An empty span may have no address, which memcpy must not be given.
      std::memcpy(out.data(), bytes_.data() + offset, count);
    }
    return count;
  }
  Result<void> write_at(std::uint64_t, ByteView) override { return read_only(); }
  Result<void> allocate(std::uint64_t) override { return read_only(); }
  Result<void> truncate(std::uint64_t) override { return read_only(); }
  Result<void> sync() override { return read_only(); }
  Result<void> set_mode(std::uint32_t) override { return read_only(); }
  [[nodiscard]] Result<FileStatus> status() const override {
    FileStatus status;
    status.size = claimed_size_ != 0 ? claimed_size_ : bytes_.size();
    return status;
  }
  [[nodiscard]] int fd() const override { return -1; }

  // Makes `status` tell another size than `read_at` serves, as a file that shrinks does.
  void claim_size(std::uint64_t size) { claimed_size_ = size; }
  // The most bytes that one read asked for.
  [[nodiscard]] std::size_t largest_read() const { return largest_read_.load(); }

 private:
  static Error read_only() {
    return Error{Error::Code::kUnimplemented, "a memory file is read-only"};
  }

  std::string bytes_;
  std::uint64_t claimed_size_ = 0;
  std::atomic<std::size_t> largest_read_ = 0;
};

}  // namespace skerry::test
