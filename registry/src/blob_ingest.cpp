// One blob on its way in: chunks in any order, from several threads, each checked against the chunk
// index before it is written. The index is the verification; nothing is read again at the end.

#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"
#include "chunk_inbox.hpp"
#include "chunk_map.hpp"
#include "file_hash.hpp"

namespace skerry::registry {
namespace {

class StagedIngest final : public BlobIngest {
 public:
  StagedIngest(BlobStore::Impl& store, const Digest& digest, const ChunkIndex& index)
      : store_(store),
        digest_(digest),
        index_(index),
        inbox_(store.fs, store.inbox_of(digest), index.chunk_size(), store.staging_key()),
        present_(index.count(), 0) {}

  ~StagedIngest() override {
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
    const ChunkIndex::Piece piece{chunk, bytes};
    return write_chunks({&piece, 1}).front();
  }

  std::vector<Result<void>> write_chunks(std::span<const ChunkIndex::Piece> pieces) override {
    std::vector<ChunkIndex::Piece> wanted;
    for (const auto& piece : pieces) {
      if (!has_chunk(piece.chunk)) {
        wanted.push_back(piece);
      }
    }
    auto checked = index_.verify(wanted);
    std::vector<Result<void>> results;
    std::size_t next = 0;
    for (const auto& piece : pieces) {
      if (next == wanted.size() || wanted[next].chunk != piece.chunk) {
        results.emplace_back();
        continue;
      }
      auto& ok = checked[next++];
      results.push_back(ok ? keep(piece) : ok.error().with_context("blob " + digest_.to_string()));
    }
    return results;
  }

  std::size_t shelter(ByteView bytes) override { return inbox_.put(bytes); }
  void release(std::size_t place) override { inbox_.release(place); }

  Result<void> finish() override {
    if (const auto runs = missing(); !runs.empty()) {
      return Error{Error::Code::kFailedPrecondition,
                   "blob " + digest_.to_string() + " still lacks chunk " +
                       std::to_string(runs.front().first)};
    }
    if (auto ok = store_.commit(store_.part_of(digest_), part_, digest_, check_by(index_)); !ok) {
      return ok;
    }
    // The blob is there. What stays behind is swept by the next recovery.
    (void)store_.remove_if_there(store_.inbox_of(digest_));
    (void)store_.remove_if_there(store_.map_of(digest_));
    return {};
  }

  Result<void> discard() override { return remove_staged(); }

 private:
  Result<void> keep(const ChunkIndex::Piece& piece) {
    if (auto ok = part_->write_bulk(index_.offset_of(piece.chunk), piece.bytes); !ok) {
      return ok;
    }
    if (auto ok = map_->set(piece.chunk, true); !ok) {
      return ok;
    }
    mark(piece.chunk);
    return {};
  }

  Result<void> remove_staged() {
    for (const auto& path : {store_.inbox_of(digest_), store_.map_of(digest_)}) {
      if (auto ok = store_.remove_if_there(path); !ok) {
        return ok;
      }
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
    const auto path = store_.part_of(digest_);
    auto part = store_.create_form(path, index_.size(), store_.options.seal, true);
    if (!part) {
      (void)store_.remove_if_there(path);
      return part.error();
    }
    part_ = std::move(*part);
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
    if (const auto* key = store_.staging_key(); key != nullptr) {
      part = open_sealed(std::move(*part), *key);
      if (!part) {
        return is_wrong_content(part.error()) ? Result<bool>{false} : part.error();
      }
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
    std::vector<std::uint64_t> claimed;
    for (std::uint64_t chunk = 0; chunk < index_.count(); ++chunk) {
      if (map_->claims(chunk)) {
        claimed.push_back(chunk);
      }
    }
    // A claim of the map is believed only if the bytes still have the chunk's digest.
    auto checked = check_chunks(
        *part_,
        index_,
        claimed,
        [this](std::uint64_t offset, ByteView) -> Result<void> {
          mark(offset / index_.chunk_size());
          return {};
        },
        [this](std::uint64_t chunk, const Error&) { return map_->set(chunk, false); });
    if (!checked) {
      return checked.error();
    }
    // What had arrived when the process died, and was still to be checked.
    std::vector<std::uint64_t> absent;
    for (std::uint64_t chunk = 0; chunk < index_.count(); ++chunk) {
      if (present_[chunk] == 0) {
        absent.push_back(chunk);
      }
    }
    auto taken = empty_inbox(store_.fs,
                             store_.inbox_of(digest_),
                             index_,
                             store_.staging_key(),
                             absent,
                             [this](std::uint64_t chunk, ByteView bytes) {
                               return keep({chunk, bytes});
                             });
    if (!taken) {
      return taken.error();
    }
    return true;
  }

  void mark(std::uint64_t chunk) {
    const std::lock_guard lock{mutex_};
    if (present_[chunk] == 0) {
      present_[chunk] = 1;
      verified_bytes_ += index_.length_of(chunk);
    }
  }

  BlobStore::Impl& store_;
  const Digest digest_;
  const ChunkIndex index_;
  std::unique_ptr<File> part_;
  std::unique_ptr<ChunkMap> map_;
  ChunkInbox inbox_;
  bool opened_ = false;

  mutable std::mutex mutex_;
  std::vector<std::uint8_t> present_;
  std::uint64_t verified_bytes_ = 0;
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
