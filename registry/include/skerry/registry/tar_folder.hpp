#pragma once

// A tar archive as a read-only folder, without unpacking it: a bundle that travels as one file.
// Strict: regular files and directories under plain relative names, each once; anything else
// (links, devices, sparse files) refuses the archive. Made with `tar`.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "skerry/common/read_only_file.hpp"

namespace skerry::registry {

class TarFolder final : public ReadOnlyFileSystem {
 public:
  static constexpr std::size_t kEntries = 40'000;

  // Reads every header, no content. `name` is for messages. The errors of `read_tar_index`.
  static Result<std::unique_ptr<TarFolder>> open(std::shared_ptr<File> archive, std::string name);

  // A file's `fd` is the archive's, whose bytes begin elsewhere: read by `read_at`.
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode mode,
                                     std::uint32_t mode_bits) override;
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override;
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const override;

 private:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
    bool is_directory = false;
  };
  TarFolder(std::shared_ptr<File> archive, std::string name)
      : archive_(std::move(archive)), name_(std::move(name)) {}
  [[nodiscard]] Result<const Entry*> find(const std::filesystem::path& path) const;

  std::shared_ptr<File> archive_;
  std::string name_;
  // By path; "" is the folder itself.
  std::map<std::string, Entry, std::less<>> entries_;
};

// A folder as a `ConfinedFolder`, or an archive as a `TarFolder`, opened without following a link
// in the last component. Blocks.
Result<std::unique_ptr<FileSystem>> open_folder_or_tar(const std::filesystem::path& path);

}  // namespace skerry::registry
