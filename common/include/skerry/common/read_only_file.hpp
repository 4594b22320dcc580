#pragma once

// A base for files that can only be read (of a confined folder, of an archive): every change is
// kPermissionDenied.

#include <string>
#include <utility>

#include "skerry/common/file_system.hpp"

namespace skerry {

class ReadOnlyFile : public File {
 public:
  // Errors call it `name`.
  explicit ReadOnlyFile(std::string name) : name_(std::move(name)) {}

  Result<void> write_at(std::uint64_t /*offset*/, ByteView /*data*/) override { return refuse(); }
  Result<void> allocate(std::uint64_t /*size*/) override { return refuse(); }
  Result<void> truncate(std::uint64_t /*size*/) override { return refuse(); }
  Result<void> sync() override { return {}; }
  Result<void> set_mode(std::uint32_t /*mode*/) override { return refuse(); }

 protected:
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  [[nodiscard]] Error refuse() const {
    return {Error::Code::kPermissionDenied, name_ + " is only read from here"};
  }

  std::string name_;
};

// The same for file systems: what is left are `open` for reading, `status`, `list`.
class ReadOnlyFileSystem : public FileSystem {
 public:
  Result<void> create_directories(const std::filesystem::path& path,
                                  std::uint32_t /*mode_bits*/) override {
    return refuse(path);
  }
  Result<void> rename(const std::filesystem::path& from,
                      const std::filesystem::path& /*to*/,
                      bool /*no_replace*/) override {
    return refuse(from);
  }
  Result<void> remove(const std::filesystem::path& path) override { return refuse(path); }
  Result<void> sync_directory(const std::filesystem::path& directory) override {
    return refuse(directory);
  }
  // Nothing can be written.
  [[nodiscard]] Result<std::uint64_t> free_space(
      const std::filesystem::path& /*path*/) const override {
    return std::uint64_t{0};
  }

 protected:
  [[nodiscard]] static Error refuse(const std::filesystem::path& path) {
    return {Error::Code::kPermissionDenied, path.string() + " is only read from here"};
  }
};

}  // namespace skerry
