#include "mapped_file.hpp"

#include <cerrno>
#include <system_error>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

namespace skerry_onnx {

MappedFile::MappedFile(const skerry_file& file) {
  const std::string name{view(file.name)};
  struct stat status {};
  if (fstat(file.fd, &status) != 0 || status.st_size < 0) {
    throw Failure{SKERRY_E_IO, "file '" + name + "' cannot be read"};
  }
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (file.length == 0 || file.offset > size || file.length > size - file.offset) {
    throw Failure{SKERRY_E_IO,
                  "file '" + name + "': " + std::to_string(file.length) + " bytes at " +
                      std::to_string(file.offset) + " are not within its " + std::to_string(size)};
  }
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const std::uint64_t lead = file.offset % page;
  mapped_ = static_cast<std::size_t>(lead + file.length);
  base_ = mmap(
      nullptr, mapped_, PROT_READ, MAP_PRIVATE, file.fd, static_cast<off_t>(file.offset - lead));
  if (base_ == MAP_FAILED) {
    base_ = nullptr;
    throw Failure{
        SKERRY_E_IO,
        "file '" + name + "' cannot be mapped: " + std::generic_category().message(errno)};
  }
  bytes_ = {static_cast<const std::byte*>(base_) + lead, static_cast<std::size_t>(file.length)};
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), mapped_(other.mapped_), bytes_(other.bytes_) {}

MappedFile::~MappedFile() {
  if (base_ != nullptr) {
    munmap(base_, mapped_);
  }
}

}  // namespace skerry_onnx
