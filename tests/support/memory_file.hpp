#pragma once

// A read-only `File` over bytes in memory, for parsers of files: unit tests and fuzz targets.

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include "skerry/common/read_only_file.hpp"

namespace skerry::test {

class MemoryFile final : public ReadOnlyFile {
 public:
  explicit MemoryFile(std::string bytes)
      : ReadOnlyFile("a file in memory"), bytes_(std::move(bytes)) {}

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
  std::string bytes_;
  std::uint64_t claimed_size_ = 0;
  std::atomic<std::size_t> largest_read_ = 0;
};

}  // namespace skerry::test
