#pragma once

// A folder that somebody else made, read without leaving it: files are listed and opened component
// by component, never through a symbolic link, so that no name in a foreign index leads outside.
// The importers read everything through it (import_plan.hpp).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::registry {

struct SourceEntry {
  std::string path;  // relative, with '/'
  std::uint64_t size = 0;

  friend bool operator==(const SourceEntry&, const SourceEntry&) = default;
};

// A file of a folder that is nowhere on disk: a layer of an image, a part of an archive.
struct VirtualFile {
  std::string path;
  std::uint64_t size = 0;
  std::function<Result<std::unique_ptr<File>>()> open;
  // What its bytes must hash to, where somebody said so.
  std::optional<Digest> expected;
};

// The folder part of a relative path, "" at the top; and the last component.
std::string source_parent(std::string_view path);
std::string source_name(std::string_view path);
// "a" and "b" as "a/b"; `folder` may be empty.
std::string source_join(std::string_view folder, std::string_view name);
// Refuses what could leave a folder: empty, absolute, "." or ".." components, a backslash, NUL.
// kInvalidArgument quotes the path; `what` says where it was read.
Result<void> check_source_path(std::string_view path, std::string_view what);

class SourceFolder {
 public:
  static constexpr std::size_t kMaxEntries = 20'000;
  static constexpr std::size_t kMaxDepth = 12;

  // Lists the regular files below `root`, or only those directly in it. `root` itself may be
  // reached through a link. kTooLarge beyond the limits. Blocks; `fs` must outlive the folder.
  static Result<std::shared_ptr<const SourceFolder>> open(FileSystem& fs,
                                                          const std::filesystem::path& root,
                                                          bool recursive);

  // A folder of these files. Paths must pass `check_source_path` and be distinct.
  static std::shared_ptr<const SourceFolder> of(FileSystem& fs,
                                                std::string name,
                                                std::vector<VirtualFile> files);

  // Sorted by path.
  [[nodiscard]] const std::vector<SourceEntry>& files() const noexcept { return files_; }
  // Symbolic links and special files that were found; they cannot be opened.
  [[nodiscard]] const std::vector<std::string>& irregular() const noexcept { return irregular_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  // Null if there is no such regular file.
  [[nodiscard]] const SourceEntry* find(std::string_view path) const;
  [[nodiscard]] bool has_folder(std::string_view path) const;
  // What the file must hash to, where somebody said so.
  [[nodiscard]] std::optional<Digest> expected(std::string_view path) const;
  // The files directly in `folder` ("" is the root).
  [[nodiscard]] std::vector<SourceEntry> files_in(std::string_view folder) const;

  // kNotFound, kInvalidArgument (a path that could leave the folder), kFailedPrecondition for a
  // link or a special file anywhere on the way. Thread-safe.
  [[nodiscard]] Result<std::unique_ptr<File>> open_file(std::string_view path) const;
  // A whole file of at most `limit` bytes; kTooLarge beyond.
  [[nodiscard]] Result<std::string> read(std::string_view path, std::size_t limit) const;
  // kFailedPrecondition naming the first link or special file, if there is any.
  [[nodiscard]] Result<void> refuse_irregular() const;

 private:
  friend class SourceWalk;
  explicit SourceFolder(FileSystem& fs) : fs_(fs) {}

  FileSystem& fs_;
  UniqueFd root_;
  std::string name_;
  std::vector<SourceEntry> files_;
  std::vector<std::string> irregular_;
  std::map<std::string, VirtualFile, std::less<>> virtual_;
};

}  // namespace skerry::registry
