#pragma once

// The file seam: every byte that Skerry stores passes here, so that tests can make the k-th
// operation fail, cut it short, or drop what was not synced (`FaultFileSystem` in tests/support).
// Paths are absolute or relative to the process; no call follows a symbolic link in the last
// component when it opens for writing.
//
// All calls block. Implementations are thread-safe; one `File` is used by one thread at a time,
// except `read_at`, `write_at` and `write_bulk`, which may run concurrently on distinct ranges.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry {

struct FileStatus {
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  bool is_directory = false;
};

// What every block device and file system of Linux accepts for direct I/O.
inline constexpr std::size_t kDirectAlignment = 4096;

class File {
 public:
  virtual ~File() = default;
  // Reads up to `out.size()` bytes; fewer only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) = 0;
  // Writes all of `data` or fails.
  virtual Result<void> write_at(std::uint64_t offset, ByteView data) = 0;
  // The same for bulk data that should not go through the page cache: passes it where offset and
  // address are multiples of `kDirectAlignment` and the file system can (a tail that is no multiple
  // goes through it). Not durable before `sync` either.
  virtual Result<void> write_bulk(std::uint64_t offset, ByteView data) {
    return write_at(offset, data);
  }
  // Reserves [0, size) on disk and makes the file that long; kNoSpace if it does not fit. Falls
  // back to a plain truncate where the file system cannot reserve.
  virtual Result<void> allocate(std::uint64_t size) = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  // Asks the kernel to forget its clean copies of the file, so that the next read shows what the
  // disk holds. A hint: pages that a process has mapped stay.
  virtual void drop_cached() {}
  // fdatasync.
  virtual Result<void> sync() = 0;
  virtual Result<void> set_mode(std::uint32_t mode) = 0;
  [[nodiscard]] virtual Result<FileStatus> status() const = 0;
  // The descriptor, for handing to a worker or the kernel; still owned by the file.
  [[nodiscard]] virtual int fd() const = 0;
};

enum class OpenMode {
  kRead,
  kReadWrite,       // must exist
  kCreate,          // creates, or opens an existing one, for reading and writing
  kCreateExclusive  // kAlreadyExists if there is one
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                             OpenMode mode,
                                             std::uint32_t mode_bits = 0640) = 0;
  [[nodiscard]] virtual Result<FileStatus> status(const std::filesystem::path& path) const = 0;
  virtual Result<void> create_directories(const std::filesystem::path& path,
                                          std::uint32_t mode_bits = 0750) = 0;
  // Atomic; replaces `to` if it exists, unless `no_replace` (then kAlreadyExists).
  virtual Result<void> rename(const std::filesystem::path& from,
                              const std::filesystem::path& to,
                              bool no_replace = false) = 0;
  virtual Result<void> remove(const std::filesystem::path& path) = 0;
  // Makes renames and creations inside `directory` durable.
  virtual Result<void> sync_directory(const std::filesystem::path& directory) = 0;
  // File names (not paths) in `directory`, sorted.
  [[nodiscard]] virtual Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const = 0;
  // Bytes an unprivileged process may still write on the file system that holds `path`.
  [[nodiscard]] virtual Result<std::uint64_t> free_space(
      const std::filesystem::path& path) const = 0;

  [[nodiscard]] bool exists(const std::filesystem::path& path) const {
    return static_cast<bool>(status(path));
  }
};

// The real one. Stateless; one per process is enough.
class SystemFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode mode,
                                     std::uint32_t mode_bits) override;
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override;
  Result<void> create_directories(const std::filesystem::path& path,
                                  std::uint32_t mode_bits) override;
  Result<void> rename(const std::filesystem::path& from,
                      const std::filesystem::path& to,
                      bool no_replace) override;
  Result<void> remove(const std::filesystem::path& path) override;
  Result<void> sync_directory(const std::filesystem::path& directory) override;
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const override;
  [[nodiscard]] Result<std::uint64_t> free_space(const std::filesystem::path& path) const override;
};

// Reads a whole file of at most `limit` bytes; kTooLarge beyond it.
Result<std::string> read_file(FileSystem& fs, const std::filesystem::path& path, std::size_t limit);

// Durable replacement: writes `<path>.tmp-<n>`, syncs it, renames it over `path`, syncs the
// directory. A crash leaves the old or the new content, never a mixture.
Result<void> write_file_atomic(FileSystem& fs,
                               const std::filesystem::path& path,
                               std::string_view content,
                               std::uint32_t mode_bits = 0640);

}  // namespace skerry
