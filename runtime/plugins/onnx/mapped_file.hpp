#pragma once

// A file given by descriptor, mapped read-only for as long as the object lives. ONNX Runtime copies
// what it keeps, so the mapping is gone once a model is loaded.

#include <cstddef>
#include <span>

#include "support.hpp"

namespace skerry_onnx {

class MappedFile {
 public:
  // Throws Failure with SKERRY_E_IO if the range is not in the file or cannot be mapped.
  explicit MappedFile(const skerry_file& file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  void* base_ = nullptr;
  std::size_t mapped_ = 0;
  std::span<const std::byte> bytes_;
};

}  // namespace skerry_onnx
