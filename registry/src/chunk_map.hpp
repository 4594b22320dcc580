#pragma once

// Which chunks of a staged blob were verified, in a small file beside it: a header that binds it to
// the blob's size and chunk index, then one byte per chunk. It is a hint: every chunk that it
// claims is hashed again on resume, so it needs no sync of its own and a lost or torn write costs
// one chunk. docs/formats/registry.md has the bytes.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/registry/chunk_index.hpp"

namespace skerry::registry {

class ChunkMap {
 public:
  static Result<ChunkMap> create(FileSystem& fs,
                                 const std::filesystem::path& path,
                                 const ChunkIndex& index);
  // kFailedPrecondition if it belongs to another blob or chunk index, or is damaged.
  static Result<ChunkMap> load(FileSystem& fs,
                               const std::filesystem::path& path,
                               const ChunkIndex& index);

  [[nodiscard]] bool claims(std::uint64_t chunk) const { return claimed_[chunk] != 0; }
  Result<void> set(std::uint64_t chunk, bool verified);
  Result<void> sync() { return file_->sync(); }

 private:
  ChunkMap(std::unique_ptr<File> file, std::vector<std::uint8_t> claimed)
      : file_(std::move(file)), claimed_(std::move(claimed)) {}

  std::unique_ptr<File> file_;
  std::vector<std::uint8_t> claimed_;
};

}  // namespace skerry::registry
