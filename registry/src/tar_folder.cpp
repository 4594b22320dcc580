#include "skerry/registry/tar_folder.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "skerry/common/confined_folder.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kTarBlock = 512;

struct TarField {
  std::size_t offset;
  std::size_t size;
};
constexpr TarField kTarName{0, 100};
constexpr TarField kTarSize{124, 12};
constexpr TarField kTarSum{148, 8};
constexpr std::size_t kTarType = 156;
constexpr TarField kTarMagic{257, 6};
constexpr TarField kTarPrefix{345, 155};

using TarHeader = std::array<char, kTarBlock>;

std::string_view field_text(const TarHeader& header, const TarField& field) {
  const std::string_view raw{header.data() + field.offset, field.size};
  return raw.substr(0, raw.find('\0'));
}

// Octal digits, padded by spaces and zeros; none for anything else.
std::optional<std::uint64_t> octal(std::string_view text) {
  while (!text.empty() && text.front() == ' ') {
    text.remove_prefix(1);
  }
  while (!text.empty() && text.back() == ' ') {
    text.remove_suffix(1);
  }
  if (text.empty() || text.size() > 12) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') {
      return std::nullopt;
    }
    value = value * 8 + static_cast<std::uint64_t>(digit - '0');
  }
  return value;
}

// Octal, or big-endian behind a set top bit (GNU, above 8 GiB).
std::optional<std::uint64_t> size_of(const TarHeader& header) {
  const auto* raw = reinterpret_cast<const unsigned char*>(header.data() + kTarSize.offset);
  if ((raw[0] & 0x80U) == 0) {
    return octal(field_text(header, kTarSize));
  }
  if (raw[0] != 0x80U || raw[1] != 0 || raw[2] != 0 || raw[3] != 0 || (raw[4] & 0x80U) != 0) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 4; i < kTarSize.size; ++i) {
    value = (value << 8U) | raw[i];
  }
  return value;
}

bool checksum_fits(const TarHeader& header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool own = i >= kTarSum.offset && i < kTarSum.offset + kTarSum.size;
    sum += own ? ' ' : static_cast<unsigned char>(header[i]);
  }
  return octal(field_text(header, kTarSum)) == sum;
}

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

// Reads the headers one after another.
class TarFolder::Scan {
 public:
  explicit Scan(TarFolder& folder) : folder_(folder) {}

  Result<void> run() {
    const auto status = folder_.archive_->status();
    if (!status) {
      return status.error();
    }
    folder_.entries_.emplace("", Entry{0, 0, true});
    while (at_ < status->size) {
      TarHeader header{};
      const auto got = folder_.archive_->read_at(
          at_, {reinterpret_cast<std::uint8_t*>(header.data()), header.size()});
      if (!got) {
        return got.error();
      }
      if (*got != header.size()) {
        return bad(Error::Code::kSizeMismatch, "the archive is cut");
      }
      if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; })) {
        return {};
      }
      if (auto taken = take(header, status->size); !taken) {
        return taken;
      }
    }
    return bad(Error::Code::kSizeMismatch, "the archive has no end");
  }

 private:
  [[nodiscard]] Error bad(Error::Code code, std::string_view why) const {
    return {code, folder_.name_ + ": at byte " + std::to_string(at_) + ": " + std::string{why}};
  }

  Result<void> take(const TarHeader& header, std::uint64_t archive_size) {
    if (field_text(header, kTarMagic).substr(0, 5) != "ustar" || !checksum_fits(header)) {
      return bad(Error::Code::kParse, "no tar header");
    }
    const char type = header[kTarType];
    if (type != '0' && type != '\0' && type != '5') {
      return bad(Error::Code::kParse,
                 "only files and folders are taken: make it with tar --format=ustar");
    }
    std::string name{field_text(header, kTarName)};
    // In the GNU format the field means something else, and is empty in plain entries.
    if (const auto prefix = field_text(header, kTarPrefix);
        !prefix.empty() && header[kTarMagic.offset + 5] == '\0') {
      name = std::string{prefix} + "/" + name;
    }
    const auto path = plain_path(std::move(name));
    const auto size = size_of(header);
    if (!path || !size) {
      return bad(Error::Code::kParse, path ? "a size that is none" : "a name that is not plain");
    }
    const Entry entry{at_ + kTarBlock, type == '5' ? 0 : *size, type == '5'};
    if (entry.size > archive_size || entry.offset > archive_size - entry.size) {
      return bad(Error::Code::kSizeMismatch, "the archive is cut");
    }
    if (path->empty() ? !entry.is_directory : !folder_.entries_.emplace(*path, entry).second) {
      return bad(Error::Code::kParse, "a name that was there before");
    }
    if (folder_.entries_.size() > TarLimits::kEntries) {
      return bad(Error::Code::kTooLarge, "too many entries");
    }
    at_ = entry.offset + (entry.size + kTarBlock - 1) / kTarBlock * kTarBlock;
    return {};
  }

  TarFolder& folder_;
  std::uint64_t at_ = 0;
};

Result<std::unique_ptr<TarFolder>> TarFolder::open(std::shared_ptr<File> archive,
                                                   std::string name) {
  std::unique_ptr<TarFolder> folder{new TarFolder{std::move(archive), std::move(name)}};
  if (auto scanned = Scan{*folder}.run(); !scanned) {
    return scanned.error();
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
