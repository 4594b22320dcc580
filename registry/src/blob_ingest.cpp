// One blob on its way in: verified chunks in any order, and a thread that follows them with the
// whole file's digest, so that `finish` has little left to do.

#include <condition_variable>
#include <system_error>
#include <thread>

#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"
#include "buffer_worker.hpp"
#include "chunk_map.hpp"

namespace skerry::registry {
namespace {

class StagedIngest final : public BlobIngest {
 public:
  StagedIngest(BlobStore::Impl& store, const Digest& digest, const ChunkIndex& index)
      : store_(store), digest_(digest), index_(index), present_(index.count(), 0) {}

  ~StagedIngest() override {
    stop_follower();
    if (opened_) {
      const std::lock_guard lock{store_.mutex};
      store_.open_ingests.erase(digest_);
    }
  }

  Result<void> open() {
    if (index_.count() == 1 && index_.chunk(0) != digest_) {
      return Error{Error::Code::kDigestMismatch,
                   "the chunk index is not that of this blob: its only chunk has another digest"};
    }
    auto resumed = resume();
    if (!resumed) {
      return resumed.error();
    }
    if (!*resumed) {
      if (auto ok = start(); !ok) {
        return ok;
      }
    }
    opened_ = true;
    start_follower();
    return {};
  }

  [[nodiscard]] const Digest& digest() const override { return digest_; }
  [[nodiscard]] const ChunkIndex& index() const override { return index_; }

  [[nodiscard]] std::vector<ChunkRun> missing() const override {
    const std::lock_guard lock{mutex_};
    std::vector<ChunkRun> runs;
    for (std::uint64_t chunk = 0; chunk < index_.count(); ++chunk) {
      if (present_[chunk] != 0) {
        continue;
      }
      if (!runs.empty() && runs.back().first + runs.back().count == chunk) {
        ++runs.back().count;
      } else {
        runs.push_back({chunk, 1});
      }
    }
    return runs;
  }

  [[nodiscard]] bool has_chunk(std::uint64_t chunk) const override {
    const std::lock_guard lock{mutex_};
    return chunk < index_.count() && present_[chunk] != 0;
  }

  [[nodiscard]] std::uint64_t verified_bytes() const override {
    const std::lock_guard lock{mutex_};
    return verified_bytes_;
  }

  Result<void> write_chunk(std::uint64_t chunk, ByteView bytes) override {
    if (has_chunk(chunk)) {
      return {};
    }
    if (auto ok = index_.verify(chunk, bytes); !ok) {
      return ok.error().with_context("blob " + digest_.to_string());
    }
    if (auto ok = part_->write_at(index_.offset_of(chunk), bytes); !ok) {
      return ok;
    }
    if (auto ok = map_->set(chunk, true); !ok) {
      return ok;
    }
    mark(chunk);
    return {};
  }

  Result<void> finish() override {
    if (const auto runs = missing(); !runs.empty()) {
      return Error{Error::Code::kFailedPrecondition,
                   "blob " + digest_.to_string() + " still lacks chunk " +
                       std::to_string(runs.front().first)};
    }
    auto whole = whole_digest();
    if (!whole) {
      return whole.error();
    }
    if (*whole != digest_) {
      return refuse(*whole);
    }
    if (auto ok = store_.commit(store_.part_of(digest_), *part_, digest_); !ok) {
      return ok;
    }
    // The blob is there. A map that stays behind is swept by the next recovery.
    (void)store_.remove_if_there(store_.map_of(digest_));
    return {};
  }

  Result<void> discard() override {
    stop_follower();
    return remove_staged();
  }

 private:
  Result<void> remove_staged() {
    if (auto ok = store_.remove_if_there(store_.map_of(digest_)); !ok) {
      return ok;
    }
    return store_.remove_if_there(store_.part_of(digest_));
  }

  Result<void> start() {
    if (auto ok = remove_staged(); !ok) {
      return ok;
    }
    if (auto ok = store_.check_space(index_.size()); !ok) {
      return ok;
    }
    auto part = store_.fs.open(store_.part_of(digest_), OpenMode::kCreateExclusive, kStagedMode);
    if (!part) {
      return part.error();
    }
    part_ = std::move(*part);
    if (auto ok = part_->allocate(index_.size()); !ok) {
      (void)store_.remove_if_there(store_.part_of(digest_));
      return ok;
    }
    auto map = ChunkMap::create(store_.fs, store_.map_of(digest_), index_);
    if (!map) {
      return map.error();
    }
    map_ = std::make_unique<ChunkMap>(std::move(*map));
    // The names survive a power cut, so that what was written then can be tried again.
    return store_.fs.sync_directory(store_.staging());
  }

  // False if there is nothing that can be continued.
  Result<bool> resume() {
    auto map = ChunkMap::load(store_.fs, store_.map_of(digest_), index_);
    if (!map) {
      const auto code = map.error().code();
      if (code == Error::Code::kNotFound || code == Error::Code::kFailedPrecondition) {
        return false;
      }
      return map.error();
    }
    auto part = store_.fs.open(store_.part_of(digest_), OpenMode::kReadWrite, kStagedMode);
    if (!part) {
      if (part.error().code() == Error::Code::kNotFound) {
        return false;
      }
      return part.error();
    }
    const auto status = (*part)->status();
    if (!status) {
      return status.error();
    }
    if (status->size != index_.size()) {
      return false;
    }
    map_ = std::make_unique<ChunkMap>(std::move(*map));
    part_ = std::move(*part);
    for (std::uint64_t chunk = 0; chunk < index_.count(); ++chunk) {
      if (map_->claims(chunk)) {
        if (auto ok = recheck(chunk); !ok) {
          return ok.error();
        }
      }
    }
    return true;
  }

  // A claim of the map is believed only if the bytes still have the chunk's digest.
  Result<void> recheck(std::uint64_t chunk) {
    Buffer buffer{index_.length_of(chunk)};
    const auto count = part_->read_at(index_.offset_of(chunk), buffer.space());
    if (!count) {
      return count.error();
    }
    buffer.set_size(*count);
    if (!index_.verify(chunk, buffer.view())) {
      return map_->set(chunk, false);
    }
    if (chunk == hashed_chunks_) {
      whole_.update(buffer.view());
      ++hashed_chunks_;
    }
    mark(chunk);
    return {};
  }

  void mark(std::uint64_t chunk) {
    {
      const std::lock_guard lock{mutex_};
      if (present_[chunk] == 0) {
        present_[chunk] = 1;
        verified_bytes_ += index_.length_of(chunk);
      }
    }
    changed_.notify_all();
  }

  void start_follower() {
    if (index_.count() == 1) {
      return;  // its chunk's digest is the blob's
    }
    try {
      follower_ = std::thread{[this] { follow(); }};
    } catch (const std::system_error&) {
      // No thread to be had: `finish` hashes by itself.
    }
  }

  void stop_follower() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
    }
    changed_.notify_all();
    if (follower_.joinable()) {
      follower_.join();
    }
  }

  // Hashes chunk after chunk as they become present; ends at the end, at an error or when told to.
  void follow() {
    Buffer buffer{index_.chunk_size()};
    std::uint64_t unsynced = 0;
    std::unique_lock lock{mutex_};
    while (hashed_chunks_ < index_.count()) {
      changed_.wait(lock, [this] { return stopping_ || present_[hashed_chunks_] != 0; });
      if (stopping_) {
        return;
      }
      const auto chunk = hashed_chunks_;
      lock.unlock();
      auto read =
          part_->read_at(index_.offset_of(chunk), buffer.space().first(index_.length_of(chunk)));
      if (read) {
        whole_.update(buffer.space().first(*read));
        unsynced += *read;
      }
      Result<void> synced;
      if (unsynced >= kSyncEvery) {
        unsynced = 0;
        synced = part_->sync();
      }
      lock.lock();
      if (!read || !synced) {
        follower_error_ = read ? synced.error() : read.error();
        changed_.notify_all();
        return;
      }
      ++hashed_chunks_;
    }
    changed_.notify_all();
  }

  Result<Digest> whole_digest() {
    if (index_.count() == 1) {
      return digest_;
    }
    if (follower_.joinable()) {
      follower_.join();
    } else {
      follow();
    }
    const std::lock_guard lock{mutex_};
    if (follower_error_) {
      return *follower_error_;
    }
    return whole_.finish();
  }

  // Every chunk was true to the index, but the index is not that of this blob.
  Result<void> refuse(const Digest& whole) {
    if (auto ok = store_.remove_if_there(store_.map_of(digest_)); !ok) {
      return ok;
    }
    if (auto ok = store_.move_to_quarantine(store_.part_of(digest_),
                                            digest_.hex() + std::string{kPartSuffix});
        !ok) {
      return ok;
    }
    return Error{Error::Code::kDigestMismatch,
                 "blob " + digest_.to_string() + ": its chunk index leads to a file with " +
                     whole.to_string() + "; the manifest that names both is wrong"};
  }

  BlobStore::Impl& store_;
  const Digest digest_;
  const ChunkIndex index_;
  std::unique_ptr<File> part_;
  std::unique_ptr<ChunkMap> map_;
  bool opened_ = false;
  Sha256 whole_;  // the follower's, once it runs

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::uint8_t> present_;
  std::uint64_t verified_bytes_ = 0;
  std::uint64_t hashed_chunks_ = 0;
  bool stopping_ = false;
  std::optional<Error> follower_error_;
  std::thread follower_;
};

}  // namespace

Result<std::unique_ptr<BlobIngest>> make_ingest(BlobStore::Impl& store,
                                                const Digest& digest,
                                                const ChunkIndex& index) {
  auto ingest = std::make_unique<StagedIngest>(store, digest, index);
  if (auto ok = ingest->open(); !ok) {
    return ok.error();
  }
  return std::unique_ptr<BlobIngest>{std::move(ingest)};
}

}  // namespace skerry::registry
