#pragma once

// fs-verity: the kernel keeps a Merkle tree of a file, refuses every write to it, and checks each
// page against the tree as it is read. The blob store turns it on where kernel and file system have
// it; tests give a store a verity of their own.

#include <filesystem>
#include <optional>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

class FileVerity {
 public:
  virtual ~FileVerity() = default;
  // Makes the file at `path`, which nobody has open for writing, immutable under its tree (SHA-256,
  // 4 KiB blocks). False where the kernel or file system cannot; an error where it could and did
  // not. Already enabled is true. Blocks for a read of the whole file. Thread-safe.
  virtual Result<bool> enable(FileSystem& fs, const std::filesystem::path& path) = 0;
  // The digest of an open file's tree and parameters (fs-verity's "file digest"), from memory;
  // nothing for a file without one. Thread-safe.
  [[nodiscard]] virtual std::optional<Digest> measure(const File& file) = 0;
};

// The kernel's (Documentation/filesystems/fsverity.rst).
FileVerity& system_verity();

}  // namespace skerry::registry
