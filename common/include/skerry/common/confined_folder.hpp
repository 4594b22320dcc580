#pragma once

// A folder that somebody else filled (a USB stick, a download), read-only: every path is resolved
// beneath its open descriptor by openat2, without symbolic or magic links and without leaving it,
// and only regular files are opened, so that a FIFO or device does not hang the reader. Used for
// everything that is imported; `FileSystem` users read from it unchanged.

#include <filesystem>
#include <memory>

#include "skerry/common/read_only_file.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry {

// Paths are relative to the folder; "" and "." are the folder itself. An absolute path, ".." out of
// it and links are kPermissionDenied; a special file is kInvalidArgument; every change is
// kPermissionDenied. Thread-safe. What is read may still change under the reader (it is another's
// medium): verify the copy, not the original.
class ConfinedFolder final : public ReadOnlyFileSystem {
 public:
  // `folder` must be a directory and no symbolic link itself. kNotFound, kPermissionDenied.
  static Result<std::unique_ptr<ConfinedFolder>> open(const std::filesystem::path& folder);

  // As it was given to `open`, for messages.
  [[nodiscard]] const std::filesystem::path& name() const { return name_; }

  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode mode,
                                     std::uint32_t mode_bits) override;
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override;
  // At most kMaxEntries; more is kTooLarge.
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const override;

  static constexpr std::size_t kMaxEntries = 100'000;

 private:
  ConfinedFolder(UniqueFd folder, std::filesystem::path name)
      : folder_(std::move(folder)), name_(std::move(name)) {}
  [[nodiscard]] Result<UniqueFd> resolve(const std::filesystem::path& path, int flags) const;

  UniqueFd folder_;
  std::filesystem::path name_;
};

}  // namespace skerry
