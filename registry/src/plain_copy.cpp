// A worker has no key, and its engine wants to map the model: of a sealed blob it gets a copy in
// memory that nobody can write, shorten or grow any more.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "skerry/registry/blob_store.hpp"

#include "buffer_worker.hpp"
#include "on_threads.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kPlainPiece = 1U << 20U;
constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Error no_copy(int why) {
  if (why == ENOMEM || why == ENOSPC) {
    return {Error::Code::kOutOfMemory,
            "there is no memory for the decrypted copy of an encrypted model"};
  }
  return errno_error(why, "the decrypted copy of an encrypted model");
}

Result<void> write_all(int fd, std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return no_copy(count == 0 ? ENOSPC : errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> copy_all(File& from, std::uint64_t size, int fd) {
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  std::optional<Error> first_error;
  const auto copy = [&](Buffer& buffer, std::uint64_t offset) -> Result<void> {
    const auto wanted = std::min<std::uint64_t>(kPlainPiece, size - offset);
    const auto count = from.read_at(offset, buffer.space().first(wanted));
    if (!count) {
      return count.error();
    }
    if (*count != wanted) {
      return Error{Error::Code::kDigestMismatch, "the encrypted file was cut"};
    }
    return write_all(fd, offset, buffer.space().first(wanted));
  };
  const auto run = [&] {
    Buffer buffer{kPlainPiece};
    for (auto at = next.fetch_add(kPlainPiece); at < size; at = next.fetch_add(kPlainPiece)) {
      if (auto ok = copy(buffer, at); !ok) {
        const std::lock_guard lock{mutex};
        if (!first_error) {
          first_error = ok.error();
        }
        next.store(size);
      }
    }
  };
  const auto at_once = std::min<std::uint64_t>(hashing_threads(), size / kPlainPiece);
  on_threads(std::max<std::size_t>(1, at_once), [&run](std::size_t) { run(); });
  return first_error ? Result<void>{*first_error} : Result<void>{};
}

}  // namespace

Result<UniqueFd> OpenBlob::plain_fd() const {
  if (!sealed) {
    UniqueFd fd{::fcntl(file->fd(), F_DUPFD_CLOEXEC, 0)};
    if (!fd) {
      return errno_error(errno, "handing out blob " + digest.to_string());
    }
    return fd;
  }
  UniqueFd fd{::memfd_create("skerry-model", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fchmod(fd.get(), 0444) != 0) {
    return no_copy(errno);
  }
  if (auto ok = copy_all(*file, size, fd.get()); !ok) {
    return ok.error().with_context("blob " + digest.to_string());
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kAllSeals) != 0) {
    return no_copy(errno);
  }
  return fd;
}

}  // namespace skerry::registry
