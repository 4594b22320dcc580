#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"

namespace skerry::registry {

BlobStore::BlobStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BlobStore::~BlobStore() = default;

Result<std::unique_ptr<BlobStore>> BlobStore::open(FileSystem& fs,
                                                   BlobRecords& records,
                                                   const Clock& clock,
                                                   const std::filesystem::path& root,
                                                   const BlobStoreOptions& options) {
  if (options.seal && !options.key) {
    return Error{Error::Code::kInvalidArgument, "a blob store that encrypts needs a key"};
  }
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

Result<bool> BlobStore::holds(const WantedBlob& wanted) {
  const auto record = impl_->records.find_blob(wanted.digest);
  if (!record) {
    return record.error();
  }
  return record->has_value() && (*record)->state == BlobState::kPresent &&
         (*record)->checked_for(wanted.chunks);
}

Result<OpenBlob> BlobStore::open_verified(const Digest& digest) {
  return impl_->open(digest, nullptr, false);
}

Result<OpenBlob> BlobStore::open_verified(const WantedBlob& wanted) {
  return impl_->open(wanted.digest, &wanted, false);
}

Result<OpenBlob> BlobStore::reverify(const Digest& digest, const BeforeRead& before_read) {
  return impl_->open(digest, nullptr, true, before_read);
}

Result<bool> BlobStore::settle(const Digest& digest) {
  auto present = impl_->is_present(digest);
  if (!present || !*present) {
    return present;
  }
  const auto blob = open_verified(digest);
  if (blob) {
    return impl_->is_present(digest);  // collected, perhaps, while it was hashed
  }
  const auto code = blob.error().code();
  if (code == Error::Code::kNotFound || code == Error::Code::kDigestMismatch) {
    return false;
  }
  return blob.error();
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
  const auto present = settle(digest);
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
  auto file = impl_->create_form(path, content.size(), impl_->options.seal, false);
  if (!file) {
    (void)impl_->remove_if_there(path);
    return std::move(file).error().with_context("storing blob " + digest.to_string());
  }
  auto stored = (*file)->write_at(0, content);
  if (stored) {
    stored = impl_->commit(path, *file, digest, std::nullopt);
  }
  if (!stored) {
    // The first error counts; recovery sweeps what stays behind.
    (void)impl_->remove_if_there(path);
    return stored.error().with_context("storing blob " + digest.to_string());
  }
  return digest;
}

Result<void> BlobStore::quarantine(const Digest& digest) {
  const auto present = impl_->is_present(digest);
  if (!present) {
    return present.error();
  }
  if (!*present) {
    return Error{Error::Code::kNotFound, "blob " + digest.to_string() + " is not in the store"};
  }
  const std::lock_guard place{impl_->placing};
  // The record goes first: a crash in between leaves a file that recovery hashes.
  if (auto ok = impl_->records.erase_blob(digest); !ok) {
    return ok;
  }
  auto path = impl_->path_of(digest);
  if (impl_->options.key && !impl_->fs.exists(path)) {
    path = impl_->place_of(digest, !impl_->options.seal);
  }
  return impl_->move_to_quarantine(path, path.filename().string());
}

Result<void> BlobStore::remove(const Digest& digest) {
  const std::lock_guard place{impl_->placing};
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

Result<bool> BlobStore::remove_claimed(const Digest& digest) {
  return impl_->finish_claimed(digest);
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
  for (const auto& path : {impl_->inbox_of(digest), impl_->map_of(digest)}) {
    if (auto ok = impl_->remove_if_there(path); !ok) {
      return ok;
    }
  }
  if (auto ok = impl_->remove_if_there(impl_->part_of(digest)); !ok) {
    return ok;
  }
  return impl_->fs.sync_directory(impl_->staging());
}

}  // namespace skerry::registry
