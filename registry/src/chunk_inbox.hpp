#pragma once

// Where chunks wait that arrived and are not checked yet: `staging/<hex>.inbox`, places of one
// chunk each, in the page cache. A process that dies leaves them there, so that the next ingest of
// the blob takes them from here and not from the network. It is a hint, like the chunk map: nothing
// is synced, what a place holds is known only by its digest, and any failure costs a fetch.
//
// Thread-safe.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/store_key.hpp"

namespace skerry::registry {

class ChunkInbox {
 public:
  // Opens no file before the first `put`. With a key, which must outlive it, each chunk waits
  // sealed, as a message of its own with a fresh salt: places are used again for other bytes.
  ChunkInbox(FileSystem& fs,
             std::filesystem::path path,
             std::uint64_t chunk_size,
             const StoreKey* key);

  // Writes one chunk into a free place and returns its number; kNoPlace if that failed.
  static constexpr std::size_t kNoPlace = SIZE_MAX;
  std::size_t put(ByteView bytes);
  // The chunk that was there is stored, or wrong: the place can be used again.
  void release(std::size_t place);

 private:
  FileSystem& fs_;
  const std::filesystem::path path_;
  const std::uint64_t place_size_;
  const StoreKey* const key_;
  std::mutex mutex_;
  std::unique_ptr<File> file_;
  bool failed_ = false;
  std::set<std::size_t> free_;
  std::size_t places_ = 0;
};

// Hands every chunk of `missing` that an earlier process left in the inbox at `path` to `take`,
// which checks and keeps it. No inbox is no error; one that cannot be read is none either.
using TakeChunk = std::function<Result<void>(std::uint64_t chunk, ByteView bytes)>;
Result<void> empty_inbox(FileSystem& fs,
                         const std::filesystem::path& path,
                         const ChunkIndex& index,
                         const StoreKey* key,
                         const std::vector<std::uint64_t>& missing,
                         const TakeChunk& take);

}  // namespace skerry::registry
