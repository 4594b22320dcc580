#pragma once

// The files of a model on disk, as OMS enumerates and hashes them (OMS 1.0, sections 6.1 to 6.3).
// Reads through descriptors that never follow a symbolic link, so that what is hashed lies inside
// the model whatever else changes in the folder meanwhile. Used by sign.hpp and verify.hpp.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace skerry::security::model_signing {

struct TreeFile {
  std::string path;
  std::uint64_t size = 0;
};

struct TreeOptions {
  // Relative paths; a folder's whole content is left out with it (OMS 6.2.1: exact, never a glob).
  std::set<std::string, std::less<>> ignore;
  // Symbolic links, sockets, pipes and devices are counted as `irregular` instead of refused.
  bool tolerate_irregular = false;
};

class ModelTree {
 public:
  // Lists the regular files below `root`, which is a folder or one file, sorted by path. Refused
  // with kFailedPrecondition: a symbolic link or special file (the message names it), a name that
  // is not UTF-8; with kTooLarge: over 100 000 files, 64 levels or 4096 bytes of path.
  static Result<ModelTree> scan(const std::filesystem::path& root, const TreeOptions& options);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool single_file() const noexcept { return single_file_; }
  [[nodiscard]] const std::vector<TreeFile>& files() const noexcept { return files_; }
  // What was there and left out.
  [[nodiscard]] const std::vector<std::string>& ignored() const noexcept { return ignored_; }
  [[nodiscard]] const std::vector<std::string>& irregular() const noexcept { return irregular_; }

  // Reads `file` once and gives the digest of each `shard_size` bytes, or of the whole file when
  // that is 0; none for an empty file in shards. kFailedPrecondition if the file is not what it was
  // when it was listed. `progress` gets the bytes read since its last call.
  Result<std::vector<Bytes>> hash(const TreeFile& file,
                                  HashType type,
                                  std::uint64_t shard_size,
                                  const std::function<void(std::uint64_t)>& progress) const;

 private:
  friend class TreeWalk;
  ModelTree() = default;

  UniqueFd root_;
  std::string name_;
  bool single_file_ = false;
  std::vector<TreeFile> files_;
  std::vector<std::string> ignored_;
  std::vector<std::string> irregular_;
};

// The path of `path` inside `model`, both made absolute; empty if it lies outside.
std::string path_inside(const std::filesystem::path& model, const std::filesystem::path& path);

// .git, .gitattributes, .github, .gitignore at the top of the model (OMS 6.2).
const std::vector<std::string>& default_ignore_paths();

}  // namespace skerry::security::model_signing
