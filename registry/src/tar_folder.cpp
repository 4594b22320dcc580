#include "skerry/registry/tar_folder.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/confined_folder.hpp"
#include "skerry/registry/tar_index.hpp"

namespace skerry::registry {
namespace {

// "./a/b/" → "a/b"; none for a name that leads out of the archive or is not plain.
std::optional<std::string> plain_path(std::string text) {
  if (text == "." || text == "./") {
    return std::string{};
  }
  if (text.starts_with("./")) {
    text.erase(0, 2);
  }
  if (text.ends_with('/')) {
    text.pop_back();
  }
  std::string_view rest = text;
  for (;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return std::nullopt;
    }
    if (slash == std::string_view::npos) {
      return text;
    }
    rest.remove_prefix(slash + 1);
  }
}

class TarFile final : public ReadOnlyFile {
 public:
  TarFile(std::shared_ptr<File> archive, std::string name, std::uint64_t offset, std::uint64_t size)
      : ReadOnlyFile(std::move(name)), archive_(std::move(archive)), offset_(offset), size_(size) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    if (offset >= size_) {
      return std::size_t{0};
    }
    return archive_->read_at(offset_ + offset,
                             out.first(std::min<std::uint64_t>(out.size(), size_ - offset)));
  }
  [[nodiscard]] Result<FileStatus> status() const override {
    auto status = archive_->status();
    if (status) {
      status->size = size_;
    }
    return status;
  }
  [[nodiscard]] int fd() const override { return archive_->fd(); }

 private:
  std::shared_ptr<File> archive_;
  std::uint64_t offset_;
  std::uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<TarFolder>> TarFolder::open(std::shared_ptr<File> archive,
                                                   std::string name) {
  TarOptions options;
  options.entries = kEntries;
  options.folders = true;
  options.need_end = true;
  auto index = read_tar_index(*archive, options);
  if (!index) {
    return index.error().with_context(name);
  }
  std::unique_ptr<TarFolder> folder{new TarFolder{std::move(archive), std::move(name)}};
  folder->entries_.emplace("", Entry{0, 0, true});
  for (TarEntry& entry : *index) {
    folder->entries_.emplace(std::move(entry.path),
                             Entry{entry.offset, entry.size, entry.is_folder});
  }
  return folder;
}

Result<const TarFolder::Entry*> TarFolder::find(const std::filesystem::path& path) const {
  const std::string text = path.lexically_normal().generic_string();
  const auto plain = plain_path(text.empty() ? "." : text);
  const auto found = plain ? entries_.find(*plain) : entries_.end();
  if (found == entries_.end()) {
    return Error{Error::Code::kNotFound, name_ + ": no " + path.string() + " in the archive"};
  }
  return &found->second;
}

Result<std::unique_ptr<File>> TarFolder::open(const std::filesystem::path& path,
                                              OpenMode mode,
                                              std::uint32_t /*mode_bits*/) {
  if (mode != OpenMode::kRead) {
    return refuse(path);
  }
  const auto entry = find(path);
  if (!entry) {
    return entry.error();
  }
  if ((*entry)->is_directory) {
    return Error{Error::Code::kInvalidArgument, name_ + ": " + path.string() + " is a directory"};
  }
  return std::unique_ptr<File>{std::make_unique<TarFile>(
      archive_, name_ + ": " + path.string(), (*entry)->offset, (*entry)->size)};
}

Result<FileStatus> TarFolder::status(const std::filesystem::path& path) const {
  const auto entry = find(path);
  if (!entry) {
    return entry.error();
  }
  auto status = archive_->status();
  if (status) {
    status->size = (*entry)->size;
    status->is_directory = (*entry)->is_directory;
  }
  return status;
}

Result<std::vector<std::string>> TarFolder::list(const std::filesystem::path& directory) const {
  const auto entry = find(directory);
  if (!entry) {
    return entry.error();
  }
  std::string prefix = directory.lexically_normal().generic_string();
  prefix = prefix.empty() || prefix == "." ? std::string{} : prefix + "/";
  std::vector<std::string> names;
  for (auto it = entries_.upper_bound(prefix);
       it != entries_.end() && it->first.starts_with(prefix);
       ++it) {
    const std::string_view rest = std::string_view{it->first}.substr(prefix.size());
    if (!rest.empty() && rest.find('/') == std::string_view::npos) {
      names.emplace_back(rest);
    }
  }
  return names;
}

Result<std::unique_ptr<FileSystem>> open_folder_or_tar(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path, ignored))) {
    auto folder = ConfinedFolder::open(path);
    if (!folder) {
      return folder.error();
    }
    return std::unique_ptr<FileSystem>{*std::move(folder)};
  }
  const auto parent = ConfinedFolder::open(path.has_parent_path() ? path.parent_path() : ".");
  if (!parent) {
    return parent.error();
  }
  auto archive = (*parent)->open(path.filename(), OpenMode::kRead, 0);
  if (!archive) {
    return archive.error();
  }
  auto folder = TarFolder::open(*std::move(archive), path.string());
  if (!folder) {
    return folder.error();
  }
  return std::unique_ptr<FileSystem>{*std::move(folder)};
}

}  // namespace skerry::registry
