#include "skerry/security/model_signing/model_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <unistd.h>
#include <utility>

#include <openssl/evp.h>
#include <sys/stat.h>

#include "../openssl.hpp"

namespace skerry::security::model_signing {

namespace {

constexpr std::size_t kReadBytes = 1U << 20U;
// Files, folders and what is left out together.
constexpr std::size_t kMaxEntries = 200'000;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using DirectoryPtr = std::unique_ptr<DIR, CloseDirectory>;

Error refused_entry(std::string message) {
  return Error{Error::Code::kFailedPrecondition, std::move(message)};
}

std::string_view kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFLNK:
      return "a symbolic link";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

// Opens `path` below `root`, one component after the other, never through a symbolic link.
Result<UniqueFd> open_inside(int root, std::string_view path) {
  UniqueFd directory;
  int at = root;
  std::string_view rest = path;
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string part{rest.substr(0, slash)};
    const bool last = slash == std::string_view::npos;
    const int flags =
        O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY);
    UniqueFd next{::openat(at, part.c_str(), flags)};
    if (!next) {
      return errno_error(errno, "opening " + std::string{path});
    }
    if (last) {
      return next;
    }
    directory = std::move(next);
    at = directory.get();
    rest.remove_prefix(slash + 1);
  }
}

Error changed(const TreeFile& file) {
  return refused_entry(file.path + " changed while the model was being read");
}

// Reads an open file from its start, one range after the other.
class RangeHasher {
 public:
  RangeHasher(int fd,
              const TreeFile& file,
              HashType type,
              const std::function<void(std::uint64_t)>& progress)
      : fd_(fd),
        file_(file),
        progress_(progress),
        digest_(type == HashType::kSha256 ? EVP_sha256() : EVP_blake2b512()),
        ctx_(EVP_MD_CTX_new()),
        buffer_(static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, file.size))) {}

  // The digest of the next `size` bytes.
  Result<Bytes> next(std::uint64_t size) {
    if (EVP_DigestInit_ex(ctx_.get(), digest_, nullptr) != 1) {
      return openssl_error(Error::Code::kInternal, "starting a hash");
    }
    while (size > 0) {
      const auto got = read_some(size);
      if (!got) {
        return got.error();
      }
      if (EVP_DigestUpdate(ctx_.get(), buffer_.data(), *got) != 1) {
        return openssl_error(Error::Code::kInternal, "hashing");
      }
      size -= *got;
      if (progress_) {
        progress_(*got);
      }
    }
    Bytes out(static_cast<std::size_t>(EVP_MD_get_size(digest_)));
    EVP_DigestFinal_ex(ctx_.get(), out.data(), nullptr);
    return out;
  }

  [[nodiscard]] bool at_end() const {
    std::uint8_t beyond = 0;
    return ::read(fd_, &beyond, 1) == 0;
  }

 private:
  Result<std::size_t> read_some(std::uint64_t most) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), most));
    ssize_t got = -1;
    do {
      got = ::read(fd_, buffer_.data(), want);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
      return errno_error(errno, "reading " + file_.path);
    }
    if (got == 0) {
      return changed(file_);
    }
    return static_cast<std::size_t>(got);
  }

  int fd_;
  const TreeFile& file_;
  const std::function<void(std::uint64_t)>& progress_;
  const EVP_MD* digest_;
  MdCtxPtr ctx_;
  Bytes buffer_;
};

}  // namespace

class TreeWalk {
 public:
  TreeWalk(ModelTree& tree, const TreeOptions& options) : tree_(tree), options_(options) {}

  Result<void> run(UniqueFd directory) { return visit(std::move(directory), ""); }

 private:
  Result<void> visit(UniqueFd directory, const std::string& prefix) {
    const int fd = directory.release();
    const DirectoryPtr entries{::fdopendir(fd)};
    if (entries == nullptr) {
      const int failure = errno;
      ::close(fd);
      return errno_error(failure, "listing " + (prefix.empty() ? std::string{"."} : prefix));
    }
    while (true) {
      errno = 0;
      // Safe: no other thread has this stream.
      const dirent* entry = ::readdir(entries.get());  // NOLINT(concurrency-mt-unsafe)
      if (entry == nullptr) {
        return errno == 0 ? Result<void>{} : errno_error(errno, "listing " + prefix);
      }
      const std::string_view name{entry->d_name};
      if (name == "." || name == "..") {
        continue;
      }
      if (auto added = add(::dirfd(entries.get()), std::string{name}, prefix); !added) {
        return added;
      }
    }
  }

  Result<void> add(int directory, const std::string& name, const std::string& prefix) {
    if (++entries_ > kMaxEntries) {
      return Error{Error::Code::kTooLarge, "more than 200000 entries in the model's folder"};
    }
    const std::string path = prefix.empty() ? name : prefix + "/" + name;
    if (options_.ignore.count(path) != 0) {
      tree_.ignored_.push_back(path);
      return {};
    }
    if (!is_utf8(path)) {
      return refused_entry("a file name in '" + prefix + "' is not UTF-8 (OMS 6.1.2)");
    }
    if (auto good = check_resource_path(path); !good) {
      return good;
    }
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno_error(errno, "reading " + path);
    }
    if (S_ISDIR(status.st_mode)) {
      UniqueFd child{
          ::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY)};
      return child ? visit(std::move(child), path) : errno_error(errno, "opening " + path);
    }
    if (S_ISREG(status.st_mode)) {
      return add_file(path, static_cast<std::uint64_t>(status.st_size));
    }
    if (options_.tolerate_irregular) {
      tree_.irregular_.push_back(path);
      return {};
    }
    // OMS 6.1.1; links are refused whatever the signature says, since they lead out of the model.
    return refused_entry(path + " is " + std::string{kind_of(status.st_mode)} +
                         "; a model has only regular files");
  }

  Result<void> add_file(const std::string& path, std::uint64_t size) {
    if (tree_.files_.size() == kMaxResources) {
      return Error{Error::Code::kTooLarge, "more than 100000 files in the model"};
    }
    tree_.files_.push_back({path, size});
    return {};
  }

  ModelTree& tree_;
  const TreeOptions& options_;
  std::size_t entries_ = 0;
};

Result<ModelTree> ModelTree::scan(const std::filesystem::path& root, const TreeOptions& options) {
  ModelTree tree;
  auto absolute = std::filesystem::absolute(root).lexically_normal();
  if (!absolute.has_filename()) {
    absolute = absolute.parent_path();  // a trailing slash
  }
  tree.name_ = absolute.filename().string();
  if (tree.name_.empty() || !is_utf8(tree.name_)) {
    return Error{Error::Code::kInvalidArgument,
                 root.string() + " cannot be a model: its name must be UTF-8 and not '/'"};
  }
  struct stat status {};
  if (::lstat(absolute.c_str(), &status) != 0) {
    return errno_error(errno, "model " + root.string());
  }
  const bool folder = S_ISDIR(status.st_mode);
  if (!folder && !S_ISREG(status.st_mode)) {
    return refused_entry("model " + root.string() + " is " + std::string{kind_of(status.st_mode)} +
                         "; give the folder or file itself");
  }
  tree.single_file_ = !folder;
  // A single file is read through its folder, as any other file of a model.
  const auto base = folder ? absolute : absolute.parent_path();
  const int flags = O_RDONLY | O_CLOEXEC | O_DIRECTORY | (folder ? O_NOFOLLOW : 0);
  tree.root_ = UniqueFd{::open(base.c_str(), flags)};
  if (!tree.root_) {
    return errno_error(errno, "model " + root.string());
  }
  if (!folder) {
    tree.files_.push_back({tree.name_, static_cast<std::uint64_t>(status.st_size)});
    return tree;
  }
  auto listing = tree.root_.duplicate();
  if (!listing) {
    return std::move(listing).error();
  }
  if (auto walked = TreeWalk{tree, options}.run(std::move(*listing)); !walked) {
    return walked.error().with_context("model " + root.string());
  }
  std::sort(tree.files_.begin(), tree.files_.end(), [](const TreeFile& a, const TreeFile& b) {
    return a.path < b.path;
  });
  std::sort(tree.ignored_.begin(), tree.ignored_.end());
  std::sort(tree.irregular_.begin(), tree.irregular_.end());
  return tree;
}

Result<std::vector<Bytes>> ModelTree::hash(
    const TreeFile& file,
    HashType type,
    std::uint64_t shard_size,
    const std::function<void(std::uint64_t)>& progress) const {
  const auto fd = open_inside(root_.get(), file.path);
  if (!fd) {
    return fd.error();
  }
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) {
    return errno_error(errno, "reading " + file.path);
  }
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != file.size) {
    return changed(file);
  }
  ::posix_fadvise(fd->get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  RangeHasher hasher{fd->get(), file, type, progress};
  std::vector<Bytes> digests;
  std::uint64_t done = 0;
  // An empty file has a digest of its own in files and none in shards (OMS 6.3.2).
  bool more = file.size > 0 || shard_size == 0;
  while (more) {
    const std::uint64_t left = file.size - done;
    const std::uint64_t size = shard_size == 0 ? left : std::min(left, shard_size);
    auto digest = hasher.next(size);
    if (!digest) {
      return std::move(digest).error();
    }
    digests.push_back(std::move(*digest));
    done += size;
    more = done < file.size;
  }
  if (!hasher.at_end()) {
    return changed(file);
  }
  return digests;
}

std::string path_inside(const std::filesystem::path& model, const std::filesystem::path& path) {
  const auto relative = std::filesystem::absolute(path).lexically_normal().lexically_relative(
      std::filesystem::absolute(model).lexically_normal());
  std::string text = relative.generic_string();
  while (text.ends_with('/')) {
    text.pop_back();
  }
  const bool outside = text.empty() || text == "." || text == ".." || text.starts_with("../");
  return outside ? std::string{} : text;
}

const std::vector<std::string>& default_ignore_paths() {
  static const std::vector<std::string> paths{".git", ".gitattributes", ".github", ".gitignore"};
  return paths;
}

}  // namespace skerry::security::model_signing
