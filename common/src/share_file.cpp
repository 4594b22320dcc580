#include "skerry/common/share_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <linux/fs.h>
#include <sys/ioctl.h>

#include "skerry/common/unique_fd.hpp"

namespace skerry {

Result<bool> share_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == EEXIST || errno == ENOSPC || errno == EDQUOT || errno == EIO) {
    return errno_error(errno, "linking " + from.string() + " to " + to.string());
  }
  const UniqueFd source{::open(from.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!source) {
    return errno_error(errno, "opening " + from.string());
  }
  const UniqueFd made{
      ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)};
  if (!made) {
    return errno_error(errno, "creating " + to.string());
  }
  if (::ioctl(made.get(), FICLONE, source.get()) == 0 && ::fsync(made.get()) == 0) {
    return true;
  }
  if (::unlink(to.c_str()) != 0) {
    return errno_error(errno, "removing " + to.string());
  }
  return false;
}

}  // namespace skerry
