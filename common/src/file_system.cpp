#include "skerry/common/file_system.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <system_error>
#include <unistd.h>

#include <sys/stat.h>
#include <sys/statvfs.h>

namespace skerry {
namespace {

namespace stdfs = std::filesystem;

FileStatus to_status(const struct stat& raw) {
  FileStatus status;
  status.size = static_cast<std::uint64_t>(raw.st_size);
  status.inode = raw.st_ino;
  status.device = raw.st_dev;
  status.ctime_ns =
      static_cast<std::int64_t>(raw.st_ctim.tv_sec) * 1'000'000'000 + raw.st_ctim.tv_nsec;
  status.mode = raw.st_mode & 07777U;
  status.links = static_cast<std::uint32_t>(raw.st_nlink);
  status.is_directory = S_ISDIR(raw.st_mode);
  return status;
}

class SystemFile final : public File {
 public:
  SystemFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t count = ::pread(
          fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0) {
        return errno_error(errno, "reading " + path_);
      }
      if (count == 0) {
        break;
      }
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  Result<void> write_at(std::uint64_t offset, ByteView data) override {
    std::size_t done = 0;
    if (const int error = write_all(fd_.get(), offset, data, done); error != 0) {
      return errno_error(error, "writing " + path_);
    }
    return {};
  }

  Result<void> write_bulk(std::uint64_t offset, ByteView data) override {
    const auto address = reinterpret_cast<std::uintptr_t>(data.data());
    const std::size_t whole = data.size() - data.size() % kDirectAlignment;
    if (whole == 0 || offset % kDirectAlignment != 0 || address % kDirectAlignment != 0 ||
        direct_fd() < 0) {
      return write_at(offset, data);
    }
    std::size_t done = 0;
    const int error = write_all(direct_fd(), offset, data.first(whole), done);
    // EINVAL: the device wants a larger alignment than the usual one, or no direct I/O after all.
    if (error != 0 && error != EINVAL) {
      return errno_error(error, "writing " + path_);
    }
    return write_at(offset + done, data.subspan(done));
  }

  Result<void> allocate(std::uint64_t size) override {
    if (size == 0) {
      return {};
    }
    if (::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) == 0) {
      return {};
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
      return errno_error(errno, "reserving " + std::to_string(size) + " bytes for " + path_);
    }
    return truncate(size);
  }

  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      return errno_error(errno, "truncating " + path_);
    }
    return {};
  }

  void drop_cached() override { (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED); }

  Result<void> sync() override {
    if (::fdatasync(fd_.get()) != 0) {
      return errno_error(errno, "syncing " + path_);
    }
    return {};
  }

  Result<void> set_mode(std::uint32_t mode) override {
    if (::fchmod(fd_.get(), mode) != 0) {
      return errno_error(errno, "changing the mode of " + path_);
    }
    return {};
  }

  [[nodiscard]] Result<FileStatus> status() const override {
    struct stat raw {};
    if (::fstat(fd_.get(), &raw) != 0) {
      return errno_error(errno, "reading the status of " + path_);
    }
    return to_status(raw);
  }

  [[nodiscard]] int fd() const override { return fd_.get(); }

 private:
  // Zero or errno; `done` counts what was written either way.
  static int write_all(int fd, std::uint64_t offset, ByteView data, std::size_t& done) {
    while (done < data.size()) {
      const ssize_t count =
          ::pwrite(fd, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0) {
        return errno;
      }
      done += static_cast<std::size_t>(count);
    }
    return 0;
  }

  // The same file opened a second time for direct I/O, on first use; -1 where that cannot be had.
  int direct_fd() {
    std::call_once(direct_opened_, [this] {
      const std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
      direct_ = UniqueFd{::open(self.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC)};
    });
    return direct_.get();
  }

  UniqueFd fd_;
  std::string path_;
  std::once_flag direct_opened_;
  UniqueFd direct_;
};

int open_flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR | O_NOFOLLOW;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_NOFOLLOW;
    case OpenMode::kCreateExclusive:
      return O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> SystemFileSystem::open(const stdfs::path& path,
                                                     OpenMode mode,
                                                     std::uint32_t mode_bits) {
  UniqueFd fd{::open(path.c_str(), open_flags(mode) | O_CLOEXEC, mode_bits)};
  if (!fd) {
    return errno_error(errno, "opening " + path.string());
  }
  return std::unique_ptr<File>{std::make_unique<SystemFile>(std::move(fd), path.string())};
}

Result<FileStatus> SystemFileSystem::status(const stdfs::path& path) const {
  struct stat raw {};
  if (::stat(path.c_str(), &raw) != 0) {
    return errno_error(errno, "reading the status of " + path.string());
  }
  return to_status(raw);
}

Result<void> SystemFileSystem::create_directories(const stdfs::path& path,
                                                  std::uint32_t mode_bits) {
  stdfs::path partial;
  for (const auto& part : path) {
    partial /= part;
    if (::mkdir(partial.c_str(), mode_bits) != 0 && errno != EEXIST) {
      return errno_error(errno, "creating directory " + partial.string());
    }
  }
  const auto made = status(path);
  if (!made) {
    return made.error();
  }
  if (!made->is_directory) {
    return Error{Error::Code::kIo, path.string() + " exists and is not a directory"};
  }
  return {};
}

Result<void> SystemFileSystem::rename(const stdfs::path& from,
                                      const stdfs::path& to,
                                      bool no_replace) {
  const unsigned int flags = no_replace ? RENAME_NOREPLACE : 0;
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), flags) != 0) {
    return errno_error(errno, "renaming " + from.string() + " to " + to.string());
  }
  return {};
}

Result<void> SystemFileSystem::remove(const stdfs::path& path) {
  if (::remove(path.c_str()) != 0) {
    return errno_error(errno, "removing " + path.string());
  }
  return {};
}

Result<void> SystemFileSystem::sync_directory(const stdfs::path& directory) {
  const UniqueFd fd{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd) {
    return errno_error(errno, "opening directory " + directory.string());
  }
  if (::fsync(fd.get()) != 0) {
    return errno_error(errno, "syncing directory " + directory.string());
  }
  return {};
}

Result<std::vector<std::string>> SystemFileSystem::list(const stdfs::path& directory) const {
  std::error_code ec;
  std::vector<std::string> names;
  for (stdfs::directory_iterator it(directory, ec), end; !ec && it != end; it.increment(ec)) {
    names.push_back(it->path().filename().string());
  }
  if (ec) {
    return errno_error(ec.value(), "listing " + directory.string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::uint64_t> SystemFileSystem::free_space(const stdfs::path& path) const {
  struct statvfs raw {};
  if (::statvfs(path.c_str(), &raw) != 0) {
    return errno_error(errno, "reading free space of " + path.string());
  }
  return static_cast<std::uint64_t>(raw.f_bavail) * raw.f_frsize;
}

Result<std::string> read_file(FileSystem& fs, const stdfs::path& path, std::size_t limit) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, path.string() + " is a directory"};
  }
  if (status->size > limit) {
    return Error{Error::Code::kTooLarge,
                 path.string() + " has " + std::to_string(status->size) + " bytes, the limit is " +
                     std::to_string(limit)};
  }
  // One byte more than the limit may be read: files in /proc say size 0, and a file can grow
  // meanwhile.
  std::string content(std::max<std::size_t>(status->size, status->size == 0 ? limit : 0) + 1, '\0');
  const auto count =
      (*file)->read_at(0, {reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  if (!count) {
    return count.error();
  }
  if (*count > limit) {
    return Error{Error::Code::kTooLarge,
                 path.string() + " has more than " + std::to_string(limit) + " bytes"};
  }
  content.resize(*count);
  return content;
}

Result<void> write_file_atomic(FileSystem& fs,
                               const stdfs::path& path,
                               std::string_view content,
                               std::uint32_t mode_bits) {
  static std::atomic<std::uint64_t> counter{0};
  const stdfs::path temporary = path.string() + ".tmp-" + std::to_string(::getpid()) + "-" +
                                std::to_string(counter.fetch_add(1));
  const auto write = [&]() -> Result<void> {
    auto file = fs.open(temporary, OpenMode::kCreateExclusive, mode_bits);
    if (!file) {
      return file.error();
    }
    if (auto written = (*file)->write_at(0, as_bytes(content)); !written) {
      return written;
    }
    if (auto synced = (*file)->sync(); !synced) {
      return synced;
    }
    file->reset();
    if (auto renamed = fs.rename(temporary, path); !renamed) {
      return renamed;
    }
    return fs.sync_directory(path.has_parent_path() ? path.parent_path() : ".");
  };
  auto result = write();
  if (!result && fs.exists(temporary)) {
    // Only tidiness: a leftover has a name of its own and is never read.
    if (auto removed = fs.remove(temporary); !removed) {
      return result.error().with_context(removed.error().message());
    }
  }
  return result;
}

}  // namespace skerry
