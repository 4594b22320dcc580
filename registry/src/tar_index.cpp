#include "skerry/registry/tar_index.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>

#include "skerry/common/bytes.hpp"
#include "skerry/common/read_only_file.hpp"

namespace skerry::registry {
namespace {

constexpr std::uint64_t kBlock = 512;

using TarBlock = std::array<std::uint8_t, kBlock>;

std::string_view field(const TarBlock& block, std::size_t offset, std::size_t length) {
  const std::string_view text = as_text(ByteView{block}.subspan(offset, length));
  return text.substr(0, text.find('\0'));
}

// Octal digits, possibly with spaces around them.
std::optional<std::uint64_t> octal(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) {
    return std::nullopt;
  }
  const std::size_t end = text.find_last_not_of(' ');
  text = text.substr(begin, end - begin + 1);
  std::uint64_t value = 0;
  const auto [stop, ec] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (ec != std::errc{} || stop != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// Octal, or big-endian behind a set top bit (GNU, above 8 GiB).
std::optional<std::uint64_t> size_of(const TarBlock& block) {
  constexpr std::size_t kSizeAt = 124;
  constexpr std::size_t kSizeBytes = 12;
  const ByteView raw = ByteView{block}.subspan(kSizeAt, kSizeBytes);
  if ((raw[0] & 0x80U) == 0) {
    return octal(field(block, kSizeAt, kSizeBytes));
  }
  if (raw[0] != 0x80U || raw[1] != 0 || raw[2] != 0 || raw[3] != 0 || (raw[4] & 0x80U) != 0) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (const std::uint8_t byte : raw.subspan(4)) {
    value = (value << 8U) | byte;
  }
  return value;
}

// Relative, of plain parts, without what other systems take for a separator.
bool stays_inside(std::string_view path) {
  if (path.size() > TarLimits::kPathBytes || path.find('\\') != std::string_view::npos ||
      path.find('\0') != std::string_view::npos) {
    return false;
  }
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    rest.remove_prefix(slash + 1);
  }
}

bool checksum_holds(const TarBlock& block) {
  const auto stated = octal(field(block, 148, 8));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    sum += i >= 148 && i < 156 ? std::uint64_t{' '} : block[i];
  }
  return stated && *stated == sum;
}

class TarReader {
 public:
  TarReader(File& file, std::uint64_t size, const TarOptions& options)
      : file_(file), size_(size), options_(options) {}

  Result<std::vector<TarEntry>> run() {
    for (;;) {
      if (size_ - position_ < kBlock) {
        // Some writers leave out the two empty blocks at the end.
        if (position_ != size_ || options_.need_end) {
          return truncated();
        }
        return std::move(entries_);
      }
      TarBlock block{};
      if (auto ok = read(position_, block); !ok) {
        return ok.error();
      }
      if (std::all_of(block.begin(), block.end(), [](auto byte) { return byte == 0; })) {
        return std::move(entries_);
      }
      const std::uint64_t at = position_;
      position_ += kBlock;
      if (auto ok = take(block); !ok) {
        return ok.error().with_context("tar entry at offset " + std::to_string(at));
      }
    }
  }

 private:
  [[nodiscard]] Error truncated() const {
    return {Error::Code::kSizeMismatch,
            "the archive is cut: it ends inside an entry or without its end, at offset " +
                std::to_string(position_)};
  }

  Result<void> read(std::uint64_t offset, std::span<std::uint8_t> out) {
    const auto got = file_.read_at(offset, out);
    if (!got) {
      return got.error();
    }
    return *got == out.size() ? Result<void>{} : truncated();
  }

  Result<void> take(const TarBlock& block) {
    if (!checksum_holds(block)) {
      return Error{Error::Code::kParse, "its checksum is wrong"};
    }
    auto size = size_of(block);
    if (!size) {
      return Error{Error::Code::kParse, "its size is no number"};
    }
    const char kind = static_cast<char>(block[156]);
    const bool extended = kind == 'x' || kind == 'g';
    if (!extended && pax_size_) {
      size = *pax_size_;
    }
    if (*size > size_ - position_) {
      return truncated();
    }
    const std::uint64_t data = position_;
    const std::uint64_t padded = (*size + kBlock - 1) / kBlock * kBlock;
    position_ = std::min(size_, position_ + padded);
    if (extended) {
      return take_pax(data, *size, kind == 'x');
    }
    std::string path = pax_path_ ? *pax_path_ : ustar_path(block);
    pax_path_.reset();
    pax_size_.reset();
    return take_entry(kind, std::move(path), data, *size);
  }

  static std::string ustar_path(const TarBlock& block) {
    std::string name{field(block, 0, 100)};
    // In the GNU format ("ustar " and a space) the field means something else.
    if (field(block, 257, 6) != "ustar") {
      return name;
    }
    const std::string prefix{field(block, 345, 155)};
    return prefix.empty() ? name : prefix + "/" + name;
  }

  Result<void> take_entry(char kind, std::string path, std::uint64_t data, std::uint64_t size) {
    constexpr char kFolder = '5';
    if (kind != '0' && kind != '\0' && kind != kFolder) {
      return Error{Error::Code::kInvalidArgument,
                   "\"" + path.substr(0, 256) +
                       "\" is a link, a device or of an unknown kind; only files and folders are "
                       "admitted"};
    }
    while (path.starts_with("./")) {
      path.erase(0, 2);
    }
    while (kind == kFolder && path.ends_with('/')) {
      path.pop_back();
    }
    if (kind == kFolder && (path.empty() || path == ".")) {
      return {};
    }
    if (!stays_inside(path)) {
      return Error{Error::Code::kInvalidArgument,
                   "the name \"" + path.substr(0, 256) + "\" does not stay inside the archive"};
    }
    if (kind == kFolder && !options_.folders) {
      return {};
    }
    if (!names_.insert(path).second) {
      return Error{Error::Code::kParse, "\"" + path + "\" occurs twice"};
    }
    if (entries_.size() == options_.entries) {
      return Error{Error::Code::kTooLarge,
                   "more than " + std::to_string(options_.entries) + " entries in an archive"};
    }
    entries_.push_back({std::move(path), data, kind == kFolder ? 0 : size, kind == kFolder});
    return {};
  }

  // Records "<length> <key>=<value>\n"; what is not about name or size does not matter here.
  Result<void> take_pax(std::uint64_t offset, std::uint64_t size, bool for_next) {
    if (size > TarLimits::kPaxBytes) {
      return Error{Error::Code::kTooLarge, "an extended header of more than 64 KiB"};
    }
    Bytes bytes(size);
    if (auto ok = read(offset, bytes); !ok) {
      return ok;
    }
    const Error malformed{Error::Code::kParse, "a malformed extended header"};
    for (std::string_view rest = as_text(bytes); !rest.empty();) {
      std::size_t length = 0;
      const auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
      const auto digits = static_cast<std::size_t>(end - rest.data());
      if (ec != std::errc{} || length <= digits + 1 || length > rest.size() ||
          rest[digits] != ' ' || rest[length - 1] != '\n') {
        return malformed;
      }
      const std::string_view record = rest.substr(digits + 1, length - digits - 2);
      const std::size_t equals = record.find('=');
      if (equals == std::string_view::npos) {
        return malformed;
      }
      if (auto ok = take_record(record.substr(0, equals), record.substr(equals + 1), for_next);
          !ok) {
        return ok;
      }
      rest.remove_prefix(length);
    }
    return {};
  }

  Result<void> take_record(std::string_view key, std::string_view value, bool for_next) {
    const bool matters =
        key == "path" || key == "size" || key == "linkpath" || key.starts_with("GNU.sparse");
    if (!matters) {
      return {};
    }
    if (!for_next || (key != "path" && key != "size")) {
      return Error{
          Error::Code::kInvalidArgument,
          "the extended header \"" + std::string{key.substr(0, 64)} + "\" is not admitted"};
    }
    if (key == "path") {
      pax_path_ = std::string{value};
      return {};
    }
    std::uint64_t size = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (ec != std::errc{} || end != value.data() + value.size()) {
      return Error{Error::Code::kParse, "an extended size that is no number"};
    }
    pax_size_ = size;
    return {};
  }

  File& file_;
  std::uint64_t size_;
  const TarOptions& options_;
  std::uint64_t position_ = 0;
  std::vector<TarEntry> entries_;
  std::set<std::string, std::less<>> names_;
  std::optional<std::string> pax_path_;
  std::optional<std::uint64_t> pax_size_;
};

class RangeFile final : public ReadOnlyFile {
 public:
  RangeFile(std::shared_ptr<File> whole, std::uint64_t offset, std::uint64_t size)
      : ReadOnlyFile("a part of an archive"),
        whole_(std::move(whole)),
        offset_(offset),
        size_(size) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    if (offset >= size_) {
      return std::size_t{0};
    }
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
    return whole_->read_at(offset_ + offset, out.first(wanted));
  }
  [[nodiscard]] Result<FileStatus> status() const override {
    FileStatus status;
    status.size = size_;
    return status;
  }
  [[nodiscard]] int fd() const override { return -1; }

 private:
  std::shared_ptr<File> whole_;
  std::uint64_t offset_;
  std::uint64_t size_;
};

}  // namespace

Result<std::vector<TarEntry>> read_tar_index(File& archive, const TarOptions& options) {
  const auto status = archive.status();
  if (!status) {
    return status.error();
  }
  return TarReader{archive, status->size, options}.run();
}

std::unique_ptr<File> range_of_file(std::shared_ptr<File> whole,
                                    std::uint64_t offset,
                                    std::uint64_t size) {
  return std::make_unique<RangeFile>(std::move(whole), offset, size);
}

}  // namespace skerry::registry
