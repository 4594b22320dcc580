#pragma once

// What the blob store remembers about its files: which were verified, how, and the identity
// (device, inode, size, change time) they had then. The catalogue implements it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

enum class BlobState {
  kPresent,   // verified, in its place
  kDeleting,  // GC decided; the file may or may not be there
};

struct BlobRecord {
  Digest digest;
  std::uint64_t size = 0;
  BlobState state = BlobState::kPresent;
  WallTime verified_at{};
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t ctime_ns = 0;
  // The chunk index that every byte was checked against; nothing: the whole file was hashed.
  std::optional<Digest> chunks;
  // The kernel's measure of the file as it was checked; nothing: it has no fs-verity.
  std::optional<Digest> verity;

  // True if the check holds for who names the blob together with this chunk index.
  [[nodiscard]] bool checked_for(const Digest& index) const { return !chunks || *chunks == index; }

  // True if `status` is the very file that was verified, unchanged since.
  [[nodiscard]] bool same_file(const FileStatus& status) const {
    return status.device == device && status.inode == inode && status.size == size &&
           status.ctime_ns == ctime_ns;
  }

  friend bool operator==(const BlobRecord&, const BlobRecord&) = default;
};

// Every call is one durable transaction; thread-safe; blocks for the disk.
class BlobRecords {
 public:
  virtual ~BlobRecords() = default;
  virtual Result<std::optional<BlobRecord>> find_blob(const Digest& digest) = 0;
  // Inserts or replaces.
  virtual Result<void> put_blob(const BlobRecord& record) = 0;
  virtual Result<void> erase_blob(const Digest& digest) = 0;
  virtual Result<std::vector<BlobRecord>> list_blobs() = 0;
};

}  // namespace skerry::registry
