#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"
#include "file_hash.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kWriteQueue = 8;

}  // namespace

BlobStore::BlobStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobStore::~BlobStore() = default;

Result<std::unique_ptr<BlobStore>> BlobStore::open(FileSystem& fs,
                                                   BlobRecords& records,
                                                   const Clock& clock,
                                                   const std::filesystem::path& root,
                                                   const BlobStoreOptions& options) {
  auto impl = std::make_unique<Impl>(fs, records, clock, root, options);
  const auto opened = [&]() -> Result<void> {
    if (auto ok = impl->prepare(); !ok) {
      return ok;
    }
    if (auto ok = impl->take_lock(); !ok) {
      return ok;
    }
    return impl->recover();
  }();
  if (!opened) {
    return opened.error().with_context("opening the blob store");
  }
  return std::unique_ptr<BlobStore>{new BlobStore(std::move(impl))};
}

const RecoveryReport& BlobStore::recovery() const {
  return impl_->recovery;
}

std::filesystem::path BlobStore::path_of(const Digest& digest) const {
  return impl_->path_of(digest);
}

Result<bool> BlobStore::contains(const Digest& digest) {
  const auto record = impl_->records.find_blob(digest);
  if (!record) {
    return record.error();
  }
  return record->has_value() && (*record)->state == BlobState::kPresent;
}

Result<OpenBlob> BlobStore::open_verified(const Digest& digest) {
  return impl_->open(digest, false);
}

Result<OpenBlob> BlobStore::reverify(const Digest& digest) {
  return impl_->open(digest, true);
}

Result<Bytes> BlobStore::read(const Digest& digest, std::size_t limit) {
  auto blob = open_verified(digest);
  if (!blob) {
    return std::move(blob).error();
  }
  if (blob->size > limit) {
    return Error{Error::Code::kTooLarge,
                 "blob " + digest.to_string() + " has " + std::to_string(blob->size) +
                     " bytes, the limit is " + std::to_string(limit)};
  }
  Bytes bytes(blob->size);
  const auto count = blob->file->read_at(0, bytes);
  if (!count) {
    return count.error();
  }
  if (*count != bytes.size()) {
    return Error{Error::Code::kSizeMismatch, "blob " + digest.to_string() + " was cut short"};
  }
  return bytes;
}

Result<std::unique_ptr<BlobIngest>> BlobStore::begin(const Digest& digest,
                                                     const ChunkIndex& index) {
  const auto present = impl_->is_present(digest);
  if (!present) {
    return present.error();
  }
  if (*present) {
    return Error{Error::Code::kAlreadyExists,
                 "blob " + digest.to_string() + " is in the store already"};
  }
  {
    const std::lock_guard lock{impl_->mutex};
    if (!impl_->open_ingests.insert(digest).second) {
      return Error{Error::Code::kFailedPrecondition,
                   "blob " + digest.to_string() + " is being fetched already"};
    }
  }
  auto ingest = make_ingest(*impl_, digest, index);
  if (!ingest) {
    const std::lock_guard lock{impl_->mutex};
    impl_->open_ingests.erase(digest);
    return ingest.error().with_context("blob " + digest.to_string());
  }
  return ingest;
}

Result<Digest> BlobStore::put(ByteView content) {
  if (content.empty()) {
    return Error{Error::Code::kInvalidArgument, "an empty blob cannot be stored"};
  }
  const auto digest = Digest::of(content);
  const auto present = impl_->is_present(digest);
  if (!present) {
    return present.error();
  }
  if (*present) {
    return digest;
  }
  if (auto ok = impl_->check_space(content.size()); !ok) {
    return ok.error();
  }
  const auto path = impl_->temporary_path();
  auto file = impl_->fs.open(path, OpenMode::kCreateExclusive, kStagedMode);
  if (!file) {
    return std::move(file).error();
  }
  auto stored = (*file)->write_at(0, content);
  if (stored) {
    stored = impl_->commit(path, **file, digest);
  }
  if (!stored) {
    // The first error counts; recovery sweeps what stays behind.
    (void)impl_->remove_if_there(path);
    return stored.error().with_context("storing blob " + digest.to_string());
  }
  return digest;
}

namespace {

// Copies `source` into `staged` while it is hashed: this thread reads and hashes chunks, a second
// one hashes the whole, a third one writes.
Result<HashedFile> copy_and_hash(File& source,
                                 File& staged,
                                 std::uint64_t size,
                                 std::uint32_t chunk_size) {
  if (auto ok = staged.allocate(size); !ok) {
    return ok.error();
  }
  std::uint64_t unsynced = 0;
  BufferWorker writer{kWriteQueue, [&](std::uint64_t offset, const Buffer& buffer) -> Result<void> {
                        if (auto ok = staged.write_at(offset, buffer.view()); !ok) {
                          return ok;
                        }
                        unsynced += buffer.size();
                        if (unsynced >= kSyncEvery) {
                          unsynced = 0;
                          return staged.sync();
                        }
                        return {};
                      }};
  auto hashed = hash_open_file(
      source, size, chunk_size, [&](std::uint64_t offset, std::shared_ptr<const Buffer> buffer) {
        return writer.push(offset, std::move(buffer));
      });
  if (!hashed) {
    return hashed;
  }
  if (auto ok = writer.drain(); !ok) {
    return ok.error();
  }
  return hashed;
}

Error mismatch(const std::filesystem::path& source, const Digest& found, const Digest& expected) {
  return {
      Error::Code::kDigestMismatch,
      source.string() + " has the digest " + found.to_string() + ", not " + expected.to_string()};
}

}  // namespace

Result<BlobStore::IngestedFile> BlobStore::ingest_file(const std::filesystem::path& source,
                                                       std::uint32_t chunk_size,
                                                       std::optional<Digest> expected) {
  const std::string context = "adding " + source.string();
  auto input = impl_->fs.open(source, OpenMode::kRead);
  if (!input) {
    return input.error().with_context(context);
  }
  const auto status = (*input)->status();
  if (!status) {
    return status.error().with_context(context);
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, context + ": it is a directory"};
  }
  if (auto ok = check_chunking(status->size, chunk_size); !ok) {
    return ok.error().with_context(context);
  }
  if (auto ok = impl_->check_space(status->size); !ok) {
    return ok.error().with_context(context);
  }
  const auto path = impl_->temporary_path();
  auto staged = impl_->fs.open(path, OpenMode::kCreateExclusive, kStagedMode);
  if (!staged) {
    return staged.error().with_context(context);
  }
  auto hashed = copy_and_hash(**input, **staged, status->size, chunk_size);
  const auto stored = [&]() -> Result<void> {
    if (!hashed) {
      return hashed.error();
    }
    if (expected && hashed->digest != *expected) {
      return mismatch(source, hashed->digest, *expected);
    }
    if (auto index = put(hashed->index.serialise()); !index) {
      return index.error();
    }
    const auto present = impl_->is_present(hashed->digest);
    if (!present) {
      return present.error();
    }
    return *present ? impl_->fs.remove(path) : impl_->commit(path, **staged, hashed->digest);
  }();
  if (!stored) {
    (void)impl_->remove_if_there(path);
    return stored.error().with_context(context);
  }
  return IngestedFile{hashed->digest, std::move(hashed->index)};
}

Result<void> BlobStore::quarantine(const Digest& digest) {
  const auto present = impl_->is_present(digest);
  if (!present) {
    return present.error();
  }
  if (!*present) {
    return Error{Error::Code::kNotFound, "blob " + digest.to_string() + " is not in the store"};
  }
  // The record goes first: a crash in between leaves a file that recovery hashes.
  if (auto ok = impl_->records.erase_blob(digest); !ok) {
    return ok;
  }
  return impl_->move_to_quarantine(impl_->path_of(digest), digest.hex());
}

Result<void> BlobStore::remove(const Digest& digest) {
  auto record = impl_->records.find_blob(digest);
  if (!record) {
    return record.error();
  }
  if (!record->has_value()) {
    return Error{Error::Code::kNotFound, "blob " + digest.to_string() + " is not in the store"};
  }
  if ((*record)->state != BlobState::kDeleting) {
    (*record)->state = BlobState::kDeleting;
    if (auto ok = impl_->records.put_blob(**record); !ok) {
      return ok;
    }
  }
  return impl_->finish_removal(digest);
}

Result<std::vector<Digest>> BlobStore::in_flight() {
  std::set<Digest> found;
  {
    const std::lock_guard lock{impl_->mutex};
    found = impl_->open_ingests;
  }
  const auto names = impl_->fs.list(impl_->staging());
  if (!names) {
    return names.error();
  }
  for (const auto& name : *names) {
    if (name.ends_with(kPartSuffix)) {
      if (auto digest = Digest::from_hex(name.substr(0, name.size() - kPartSuffix.size()));
          digest) {
        found.insert(*digest);
      }
    }
  }
  return std::vector<Digest>{found.begin(), found.end()};
}

Result<void> BlobStore::discard_staged(const Digest& digest) {
  {
    const std::lock_guard lock{impl_->mutex};
    if (impl_->open_ingests.count(digest) != 0) {
      return Error{Error::Code::kFailedPrecondition,
                   "blob " + digest.to_string() + " is being fetched"};
    }
  }
  if (auto ok = impl_->remove_if_there(impl_->map_of(digest)); !ok) {
    return ok;
  }
  if (auto ok = impl_->remove_if_there(impl_->part_of(digest)); !ok) {
    return ok;
  }
  return impl_->fs.sync_directory(impl_->staging());
}

}  // namespace skerry::registry
