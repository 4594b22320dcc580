#include "skerry/common/confined_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace skerry {
namespace {

namespace confined_fs = std::filesystem;

// Debian 12's C library has no wrapper for it.
int open_beneath(int folder, const char* path, int flags, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.resolve = resolve;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

Error refused_path(int error_number, const std::string& what) {
  // EXDEV: it left the folder; ELOOP: there is a link on the way.
  if (error_number == EXDEV || error_number == ELOOP) {
    return {Error::Code::kPermissionDenied,
            what + ": links and paths out of the folder are not followed"};
  }
  return errno_error(error_number, what);
}

Result<FileStatus> confined_status(int fd, const std::string& name) {
  struct stat raw {};
  if (::fstat(fd, &raw) != 0) {
    return errno_error(errno, "reading the status of " + name);
  }
  FileStatus status;
  status.size = static_cast<std::uint64_t>(raw.st_size);
  status.inode = raw.st_ino;
  status.device = raw.st_dev;
  status.ctime_ns =
      static_cast<std::int64_t>(raw.st_ctim.tv_sec) * 1'000'000'000 + raw.st_ctim.tv_nsec;
  status.mode = raw.st_mode & 07777U;
  status.links = static_cast<std::uint32_t>(raw.st_nlink);
  status.is_directory = S_ISDIR(raw.st_mode);
  if (!S_ISDIR(raw.st_mode) && !S_ISREG(raw.st_mode)) {
    return Error{Error::Code::kInvalidArgument, name + " is no regular file"};
  }
  return status;
}

class ConfinedFile final : public ReadOnlyFile {
 public:
  ConfinedFile(UniqueFd fd, std::string name) : ReadOnlyFile(std::move(name)), fd_(std::move(fd)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t count = ::pread(
          fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) {
        continue;
      }
      if (count < 0) {
        return errno_error(errno, "reading " + name());
      }
      if (count == 0) {
        break;
      }
      done += static_cast<std::size_t>(count);
    }
    return done;
  }
  void drop_cached() override { (void)::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED); }
  [[nodiscard]] Result<FileStatus> status() const override {
    return confined_status(fd_.get(), name());
  }
  [[nodiscard]] int fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<std::unique_ptr<ConfinedFolder>> ConfinedFolder::open(const confined_fs::path& folder) {
  UniqueFd fd{open_beneath(
      AT_FDCWD, folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, RESOLVE_NO_MAGICLINKS)};
  if (!fd) {
    return refused_path(errno, "opening folder " + folder.string());
  }
  return std::unique_ptr<ConfinedFolder>{new ConfinedFolder{std::move(fd), folder}};
}

Result<UniqueFd> ConfinedFolder::resolve(const confined_fs::path& path, int flags) const {
  const std::string inside = path.empty() ? "." : path.string();
  UniqueFd fd{open_beneath(folder_.get(),
                           inside.c_str(),
                           flags,
                           RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)};
  if (!fd) {
    return refused_path(errno, "opening " + name_.string() + ": " + inside);
  }
  return fd;
}

Result<std::unique_ptr<File>> ConfinedFolder::open(const confined_fs::path& path,
                                                   OpenMode mode,
                                                   std::uint32_t /*mode_bits*/) {
  if (mode != OpenMode::kRead) {
    return refuse(path);
  }
  // Without O_NONBLOCK the opening of a FIFO would wait for a writer.
  auto fd = resolve(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) {
    return fd.error();
  }
  const std::string shown = name_.string() + ": " + path.string();
  const auto found = confined_status(fd->get(), shown);
  if (!found) {
    return found.error();
  }
  if (found->is_directory) {
    return Error{Error::Code::kInvalidArgument, shown + " is a directory"};
  }
  return std::unique_ptr<File>{std::make_unique<ConfinedFile>(*std::move(fd), shown)};
}

Result<FileStatus> ConfinedFolder::status(const confined_fs::path& path) const {
  const auto fd = resolve(path, O_PATH);
  if (!fd) {
    return fd.error();
  }
  return confined_status(fd->get(), name_.string() + ": " + path.string());
}

Result<std::vector<std::string>> ConfinedFolder::list(const confined_fs::path& directory) const {
  auto fd = resolve(directory, O_RDONLY | O_DIRECTORY);
  if (!fd) {
    return fd.error();
  }
  const std::string shown = "listing " + name_.string() + ": " + directory.string();
  const std::unique_ptr<DIR, CloseDirectory> stream{::fdopendir(fd->get())};
  if (!stream) {
    return errno_error(errno, shown);
  }
  // The stream owns the descriptor now.
  static_cast<void>(fd->release());
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    // The stream is this call's own: nothing races with it.
    const dirent* entry = ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe)
    if (entry == nullptr) {
      break;
    }
    const std::string_view name{entry->d_name};
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
    if (names.size() > kMaxEntries) {
      return Error{Error::Code::kTooLarge,
                   shown + ": more than " + std::to_string(kMaxEntries) + " entries"};
    }
  }
  if (errno != 0) {
    return errno_error(errno, shown);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace skerry
