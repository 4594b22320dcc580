#pragma once

// The daemon's folder: made if missing, locked against a second daemon, with the keys that are
// made at first start.

#include <filesystem>
#include <memory>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::agent {

// Holds the lock while it lives.
class StateDir {
 public:
  // kUnavailable if another daemon uses `path`.
  static Result<StateDir> open(FileSystem& fs, const std::filesystem::path& path);

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // keys/<name>.pem, made with `algorithm` if there is none.
  Result<std::unique_ptr<security::Signer>> key(FileSystem& fs,
                                                std::string_view name,
                                                security::KeyAlgorithm algorithm) const;

 private:
  StateDir(std::filesystem::path path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  UniqueFd lock_;
};

}  // namespace skerry::agent
