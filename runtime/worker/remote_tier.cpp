#include "remote_tier.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>

#include "wire.hpp"

namespace skerry::runtime {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// Pages of a descriptor while it lives.
class Mapping {
 public:
  Mapping(int fd, std::size_t size, int protection, int flags)
      : size_(size), at_(::mmap(nullptr, size, protection, flags, fd, 0)) {}
  ~Mapping() {
    if (*this) {
      ::munmap(at_, size_);
    }
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  explicit operator bool() const { return at_ != MAP_FAILED; }
  [[nodiscard]] std::span<std::uint8_t> bytes() const {
    return {static_cast<std::uint8_t*>(at_), size_};
  }

 private:
  std::size_t size_;
  void* at_;
};

}  // namespace

Result<void> RemoteTier::save(PrefixState state, std::size_t room, const Fill& fill) {
  if (state.names.size() > wire::kMostPrefixNames) {
    return Error{Error::Code::kTooLarge, "the prefix has more blocks than are kept"};
  }
  const UniqueFd fd{::memfd_create("skerry-prefix", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(room)) != 0) {
    return errno_error(errno, "memory for the state of a prefix");
  }
  std::size_t size = 0;
  {
    // Its pages may not be writable any more when it is sealed.
    const Mapping mapping{fd.get(), room, PROT_READ | PROT_WRITE, MAP_SHARED};
    if (!mapping) {
      return errno_error(errno, "memory for the state of a prefix");
    }
    const auto written = fill(mapping.bytes());
    if (!written) {
      return written.error();
    }
    if (*written == 0) {
      return Error{Error::Code::kPluginInvalid, "the engine saved nothing"};
    }
    size = *written;
  }
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, kAllSeals) != 0) {
    return errno_error(errno, "sealing the state of a prefix");
  }
  worker::v1::FromWorker message;
  wire::put_prefix(state, size, *message.mutable_prefix_save());
  saving_ = true;
  channel_.send(message, fd.get());
  return {};
}

void RemoteTier::find(RequestKey key, std::vector<Digest> names) {
  worker::v1::FromWorker message;
  const bool pinned = (key & kPinnedKey) != 0;
  wire::put_question({.key = key, .format = format_, .names = std::move(names), .pinned = pinned},
                     *message.mutable_prefix_query());
  channel_.send(message);
}

void RemoteTier::drop(const Digest& name) {
  worker::v1::FromWorker message;
  message.mutable_prefix_drop()->set_name(name.raw());
  channel_.send(message);
}

FoundPrefix RemoteTier::open(const worker::v1::PrefixAnswer& answer, const UniqueFd& fd) {
  struct stat status {};
  if (answer.tokens() == 0 || answer.size() == 0 || !fd || ::fstat(fd.get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != answer.size()) {
    return {};
  }
  // Private: sealed memory may not be mapped as shared where writing it could be asked for.
  auto mapping = std::make_shared<Mapping>(
      fd.get(), static_cast<std::size_t>(answer.size()), PROT_READ, MAP_PRIVATE);
  if (!*mapping) {
    return {};
  }
  FoundPrefix found;
  found.tokens = answer.tokens();
  found.common = answer.common();
  found.bytes = mapping->bytes();
  found.holder = std::move(mapping);
  return found;
}

}  // namespace skerry::runtime
