#include "skerry/registry/source_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>

#include <sys/stat.h>

#include "skerry/common/bytes.hpp"

namespace skerry::registry {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { (void)::closedir(directory); }
};

Error leaves(std::string_view path, std::string_view what) {
  return {Error::Code::kInvalidArgument,
          std::string{what} + ": the path \"" + std::string{path.substr(0, 256)} +
              "\" does not stay inside the folder"};
}

Error irregular_file(std::string_view path) {
  return {Error::Code::kFailedPrecondition,
          std::string{path} +
              " is a symbolic link or a special file; only regular files are imported (copy the "
              "folder with its links resolved)"};
}

}  // namespace

std::string source_parent(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string{} : std::string{path.substr(0, slash)};
}

std::string source_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string{slash == std::string_view::npos ? path : path.substr(slash + 1)};
}

std::string source_join(std::string_view folder, std::string_view name) {
  std::string out{folder};
  if (!out.empty()) {
    out += '/';
  }
  return out.append(name);
}

Result<void> check_source_path(std::string_view path, std::string_view what) {
  if (path.empty() || path.size() > 4096 || path.front() == '/' ||
      path.find('\\') != std::string_view::npos || path.find('\0') != std::string_view::npos) {
    return leaves(path, what);
  }
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return leaves(path, what);
    }
    if (slash == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(slash + 1);
  }
}

// Lists one folder after the other.
class SourceWalk {
 public:
  SourceWalk(SourceFolder& out, bool recursive) : out_(out), recursive_(recursive) {}

  Result<void> walk(int parent, const std::string& prefix, std::size_t depth) {
    if (depth > SourceFolder::kMaxDepth) {
      return Error{Error::Code::kTooLarge,
                   prefix + ": more than " + std::to_string(SourceFolder::kMaxDepth) +
                       " folders inside one another"};
    }
    UniqueFd own{::openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!own) {
      return errno_error(errno, "listing " + prefix);
    }
    const std::unique_ptr<DIR, CloseDirectory> directory{::fdopendir(own.get())};
    if (!directory) {
      return errno_error(errno, "listing " + prefix);
    }
    (void)own.release();
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream belongs to this call alone.
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string name{static_cast<const char*>(entry->d_name)};
      if (name == "." || name == "..") {
        continue;
      }
      if (auto taken = take(parent, name, source_join(prefix, name), depth); !taken) {
        return taken;
      }
    }
    return {};
  }

 private:
  Result<void> take(int parent,
                    const std::string& name,
                    const std::string& path,
                    std::size_t depth) {
    struct stat raw {};
    if (::fstatat(parent, name.c_str(), &raw, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno_error(errno, path);
    }
    if (++seen_ > SourceFolder::kMaxEntries) {
      return Error{Error::Code::kTooLarge,
                   "more than " + std::to_string(SourceFolder::kMaxEntries) + " files"};
    }
    if (S_ISREG(raw.st_mode)) {
      out_.files_.push_back({path, static_cast<std::uint64_t>(raw.st_size)});
      return {};
    }
    if (!S_ISDIR(raw.st_mode)) {
      out_.irregular_.push_back(path);
      return {};
    }
    if (!recursive_) {
      return {};
    }
    const UniqueFd inner{
        ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!inner) {
      return errno_error(errno, path);
    }
    return walk(inner.get(), path, depth + 1);
  }

  SourceFolder& out_;
  bool recursive_;
  std::size_t seen_ = 0;
};

Result<std::shared_ptr<const SourceFolder>> SourceFolder::open(FileSystem& fs,
                                                               const std::filesystem::path& root,
                                                               bool recursive) {
  auto folder = std::shared_ptr<SourceFolder>{new SourceFolder{fs}};
  folder->root_ = UniqueFd{::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!folder->root_) {
    return errno_error(errno, root.string());
  }
  std::error_code ec;
  const std::filesystem::path absolute = std::filesystem::absolute(root, ec).lexically_normal();
  folder->name_ = absolute.has_filename() ? absolute.filename().string()
                                          : absolute.parent_path().filename().string();
  SourceWalk walk{*folder, recursive};
  if (auto listed = walk.walk(folder->root_.get(), "", 0); !listed) {
    return listed.error().with_context(root.string());
  }
  std::sort(folder->files_.begin(), folder->files_.end(), [](const auto& a, const auto& b) {
    return a.path < b.path;
  });
  std::sort(folder->irregular_.begin(), folder->irregular_.end());
  return std::shared_ptr<const SourceFolder>{std::move(folder)};
}

std::shared_ptr<const SourceFolder> SourceFolder::of(FileSystem& fs,
                                                     std::string name,
                                                     std::vector<VirtualFile> files) {
  auto folder = std::shared_ptr<SourceFolder>{new SourceFolder{fs}};
  folder->name_ = std::move(name);
  for (VirtualFile& file : files) {
    std::string path = file.path;
    folder->virtual_.emplace(std::move(path), std::move(file));
  }
  for (const auto& [path, file] : folder->virtual_) {
    folder->files_.push_back({path, file.size});
  }
  return folder;
}

std::optional<Digest> SourceFolder::expected(std::string_view path) const {
  const auto found = virtual_.find(path);
  return found == virtual_.end() ? std::nullopt : found->second.expected;
}

const SourceEntry* SourceFolder::find(std::string_view path) const {
  const auto found =
      std::lower_bound(files_.begin(), files_.end(), path, [](const auto& entry, const auto& key) {
        return entry.path < key;
      });
  return found != files_.end() && found->path == path ? &*found : nullptr;
}

bool SourceFolder::has_folder(std::string_view path) const {
  const std::string prefix = std::string{path} + "/";
  return std::any_of(files_.begin(), files_.end(), [&](const auto& entry) {
    return entry.path.starts_with(prefix);
  });
}

std::vector<SourceEntry> SourceFolder::files_in(std::string_view folder) const {
  std::vector<SourceEntry> out;
  for (const SourceEntry& entry : files_) {
    if (source_parent(entry.path) == folder) {
      out.push_back(entry);
    }
  }
  return out;
}

Result<std::unique_ptr<File>> SourceFolder::open_file(std::string_view path) const {
  if (auto ok = check_source_path(path, "opening"); !ok) {
    return ok.error();
  }
  if (!root_) {
    const auto found = virtual_.find(path);
    return found != virtual_.end()
               ? found->second.open()
               : Error{Error::Code::kNotFound, std::string{path} + " is not there"};
  }
  UniqueFd held;
  int at = root_.get();
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string part{rest.substr(0, slash)};
    const bool last = slash == std::string_view::npos;
    // O_NONBLOCK: a pipe must not make us wait for its other end.
    const int flags =
        O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY);
    UniqueFd next{::openat(at, part.c_str(), flags)};
    if (!next) {
      const int why = errno;
      // ELOOP: a link as the last component. ENOTDIR: a link, or a file, on the way.
      return why == ELOOP || why == ENOTDIR ? irregular_file(path)
                                            : errno_error(why, std::string{path});
    }
    held = std::move(next);
    at = held.get();
    if (last) {
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  struct stat raw {};
  if (::fstat(at, &raw) != 0) {
    return errno_error(errno, std::string{path});
  }
  if (!S_ISREG(raw.st_mode)) {
    return irregular_file(path);
  }
  // The very file that was reached above, whatever its name leads to by now.
  auto file = fs_.open("/proc/self/fd/" + std::to_string(at), OpenMode::kRead);
  return file ? std::move(file) : file.error().with_context(path);
}

Result<std::string> SourceFolder::read(std::string_view path, std::size_t limit) const {
  auto file = open_file(path);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  if (status->size > limit) {
    return Error{Error::Code::kTooLarge,
                 std::string{path} + " has " + std::to_string(status->size) + " bytes, at most " +
                     std::to_string(limit) + " are read"};
  }
  Bytes bytes(status->size);
  const auto read = (*file)->read_at(0, bytes);
  if (!read) {
    return read.error().with_context(path);
  }
  bytes.resize(*read);
  return std::string{as_text(bytes)};
}

Result<void> SourceFolder::refuse_irregular() const {
  if (irregular_.empty()) {
    return {};
  }
  return irregular_file(irregular_.front());
}

}  // namespace skerry::registry
