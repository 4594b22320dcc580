#include "skerry/registry/file_verity.hpp"

#include <array>
#include <cerrno>

#include <linux/fsverity.h>
#include <sys/ioctl.h>

namespace skerry::registry {
namespace {

constexpr std::uint32_t kVerityBlock = 4096;

class SystemVerity final : public FileVerity {
 public:
  Result<bool> enable(FileSystem& fs, const std::filesystem::path& path) override {
    // Only a descriptor for reading does: the kernel wants no writer.
    const auto file = fs.open(path, OpenMode::kRead);
    if (!file) {
      return file.error();
    }
    fsverity_enable_arg arguments{};
    arguments.version = 1;
    arguments.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    arguments.block_size = kVerityBlock;
    if (::ioctl((*file)->fd(), FS_IOC_ENABLE_VERITY, &arguments) == 0 || errno == EEXIST) {
      return true;
    }
    switch (errno) {
      case ENOTTY:      // the file system knows no such call
      case EOPNOTSUPP:  // the kernel or this file system was made without it
      case EINVAL:      // blocks of another size only
      case EACCES:      // not the owner's to do here
      case EPERM:
        return false;
      default:
        return errno_error(errno, "enabling fs-verity for " + path.string());
    }
  }

  std::optional<Digest> measure(const File& file) override {
    // The head of the answer, and the digest behind it.
    alignas(fsverity_digest) std::array<std::uint8_t, sizeof(fsverity_digest) + Digest::kSize>
        answer{};
    auto* head = reinterpret_cast<fsverity_digest*>(answer.data());
    head->digest_size = Digest::kSize;
    if (::ioctl(file.fd(), FS_IOC_MEASURE_VERITY, head) != 0 ||
        head->digest_algorithm != FS_VERITY_HASH_ALG_SHA256 || head->digest_size != Digest::kSize) {
      return std::nullopt;
    }
    const auto digest = ByteView{answer}.last(Digest::kSize);
    auto found = Digest::from_bytes(digest);
    return found ? std::optional{*found} : std::nullopt;
  }
};

}  // namespace

FileVerity& system_verity() {
  static SystemVerity verity;
  return verity;
}

}  // namespace skerry::registry
