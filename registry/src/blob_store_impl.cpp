// The steps that reading, writing, ingest and recovery share: paths, space, the commit of a staged
// file, opening with verification.

#include "blob_store_impl.hpp"

#include <cerrno>

#include <sys/file.h>

#include "file_hash.hpp"

namespace skerry::registry {
namespace {

constexpr std::uint32_t kBlobMode = 0440;
constexpr std::uint32_t kFolderMode = 0750;

Error in_quarantine(const Digest& digest) {
  return {Error::Code::kDigestMismatch,
          "blob " + digest.to_string() +
              " has other bytes than its name says; it is in quarantine, fetch it again"};
}

}  // namespace

std::filesystem::path BlobStore::Impl::place_of(const Digest& digest, bool sealed) const {
  const auto hex = digest.hex();
  return blobs() / hex.substr(0, 2) / (sealed ? hex + std::string{kSealedSuffix} : hex);
}

std::filesystem::path BlobStore::Impl::part_of(const Digest& digest) const {
  return staging() / (digest.hex() + std::string{kPartSuffix});
}

std::filesystem::path BlobStore::Impl::map_of(const Digest& digest) const {
  return staging() / (digest.hex() + std::string{kMapSuffix});
}

std::filesystem::path BlobStore::Impl::inbox_of(const Digest& digest) const {
  return staging() / (digest.hex() + std::string{kInboxSuffix});
}

std::filesystem::path BlobStore::Impl::temporary_path() {
  const std::lock_guard lock{mutex};
  return staging() / (std::to_string(++next_temporary) + std::string{kTemporarySuffix});
}

Result<void> BlobStore::Impl::prepare() {
  for (const auto& folder : {blobs(), staging(), quarantined()}) {
    if (auto ok = fs.create_directories(folder, kFolderMode); !ok) {
      return ok;
    }
  }
  return {};
}

Result<void> BlobStore::Impl::take_lock() {
  auto file = fs.open(root / "lock", OpenMode::kCreate, kStagedMode);
  if (!file) {
    return file.error();
  }
  if (::flock((*file)->fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error{Error::Code::kUnavailable,
                   "another process uses the registry at " + root.string() +
                       "; stop it, or ask it through its socket"};
    }
    return errno_error(errno, "locking " + (root / "lock").string());
  }
  lock_file = std::move(*file);
  return {};
}

Result<bool> BlobStore::Impl::is_present(const Digest& digest) {
  const auto record = records.find_blob(digest);
  if (!record) {
    return record.error();
  }
  if (!record->has_value()) {
    return false;
  }
  if ((*record)->state == BlobState::kPresent) {
    return true;
  }
  if (auto finished = finish_claimed(digest); !finished) {
    return finished;
  }
  // Another thread may have finished it first, and stored the blob anew.
  const auto again = records.find_blob(digest);
  if (!again) {
    return again.error();
  }
  return again->has_value() && (*again)->state == BlobState::kPresent;
}

Result<bool> BlobStore::Impl::finish_claimed(const Digest& digest) {
  const std::lock_guard place{placing};
  const auto record = records.find_blob(digest);
  if (!record) {
    return record.error();
  }
  if (!record->has_value() || (*record)->state != BlobState::kDeleting) {
    return false;
  }
  if (auto ok = finish_removal(digest); !ok) {
    return ok.error();
  }
  return true;
}

Result<void> BlobStore::Impl::check_space(std::uint64_t size) {
  const auto free = fs.free_space(root);
  if (!free) {
    return free.error();
  }
  if (size > *free || options.reserve > *free - size) {
    return Error{Error::Code::kNoSpace,
                 "blob of " + std::to_string(size) +
                     " bytes does not fit: " + std::to_string(*free) + " bytes are free, " +
                     std::to_string(options.reserve) + " of them reserved"};
  }
  return {};
}

Result<void> BlobStore::Impl::remove_if_there(const std::filesystem::path& path) {
  auto ok = fs.remove(path);
  if (!ok && ok.error().code() != Error::Code::kNotFound) {
    return ok;
  }
  return {};
}

Result<void> BlobStore::Impl::move_to_quarantine(const std::filesystem::path& path,
                                                 const std::string& name) {
  if (auto ok = fs.rename(path, quarantined() / name, false); !ok) {
    return ok;
  }
  if (auto ok = fs.sync_directory(quarantined()); !ok) {
    return ok;
  }
  return fs.sync_directory(path.parent_path());
}

Result<bool> BlobStore::Impl::has_right_bytes(const Digest& digest,
                                              const std::filesystem::path& path,
                                              bool sealed) {
  auto file = open_form(path, sealed);
  if (!file) {
    return is_wrong_content(file.error()) ? Result<bool>{false} : file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  const auto found = digest_of_file(**file, status->size);
  if (!found) {
    return is_wrong_content(found.error()) ? Result<bool>{false} : found.error();
  }
  return *found == digest;
}

Result<void> BlobStore::Impl::record(const Digest& digest,
                                     const FileStatus& status,
                                     const std::optional<Digest>& chunks,
                                     const std::optional<Digest>& measured) {
  BlobRecord row;
  row.digest = digest;
  row.size = status.size;
  row.verified_at = clock.wall_now();
  row.device = status.device;
  row.inode = status.inode;
  row.ctime_ns = status.ctime_ns;
  row.chunks = chunks;
  row.verity = measured;
  return records.put_blob(row);
}

Result<void> BlobStore::Impl::commit(const std::filesystem::path& staged,
                                     std::unique_ptr<File>& file,
                                     const Digest& digest,
                                     const std::optional<Digest>& chunks) {
  const auto target = path_of(digest);
  const auto folder = target.parent_path();
  if (auto ok = file->sync(); !ok) {
    return ok;
  }
  if (auto ok = file->set_mode(kBlobMode); !ok) {
    return ok;
  }
  file.reset();  // fs-verity wants no writer
  if (!fs.exists(folder)) {
    if (auto ok = fs.create_directories(folder, kFolderMode); !ok) {
      return ok;
    }
    if (auto ok = fs.sync_directory(blobs()); !ok) {
      return ok;
    }
  }
  bool was_there = false;
  auto renamed = fs.rename(staged, target, true);
  if (!renamed && renamed.error().code() == Error::Code::kAlreadyExists) {
    // A file without a record: keep it if it is right, else it makes room.
    const auto right = has_right_bytes(digest, target, options.seal);
    if (!right) {
      return right.error();
    }
    if (!*right) {
      if (auto ok = move_to_quarantine(target, target.filename().string()); !ok) {
        return ok;
      }
      renamed = fs.rename(staged, target, true);
    } else {
      was_there = true;
      renamed = fs.remove(staged);
    }
  }
  if (!renamed) {
    return renamed;
  }
  // A file that was there already was hashed as a whole, which is more than the index says.
  return record_placed(digest, target, was_there ? std::nullopt : chunks);
}

Result<void> BlobStore::Impl::record_placed(const Digest& digest,
                                            const std::filesystem::path& target,
                                            const std::optional<Digest>& chunks) {
  if (auto ok = fs.sync_directory(target.parent_path()); !ok) {
    return ok;
  }
  if (auto ok = fs.sync_directory(staging()); !ok) {
    return ok;
  }
  // On by the time of the record, or not at all: the change time moves with it.
  if (auto enabled = verity.enable(fs, target); !enabled) {
    return enabled.error();
  }
  const auto stored = open_form(target, options.seal);
  if (!stored) {
    return stored.error();
  }
  const auto status = (*stored)->status();
  if (!status) {
    return status.error();
  }
  return record(digest, *status, chunks, verity.measure(**stored));
}

Result<void> BlobStore::Impl::finish_removal(const Digest& digest) {
  const auto folder = path_of(digest).parent_path();
  if (auto ok = remove_if_there(path_of(digest)); !ok) {
    return ok;
  }
  if (options.key) {
    if (auto ok = remove_if_there(place_of(digest, !options.seal)); !ok) {
      return ok;
    }
  }
  if (fs.exists(folder)) {
    if (auto ok = fs.sync_directory(folder); !ok) {
      return ok;
    }
  }
  return records.erase_blob(digest);
}

Result<bool> BlobStore::Impl::settle(const Digest& digest,
                                     const Placed& placed,
                                     const BeforeRead& before_read) {
  File& file = *placed.file;
  const auto status = file.status();
  if (!status) {
    return status.error();
  }
  const auto found = digest_of_file(file, status->size, before_read);
  if (!found && !is_wrong_content(found.error())) {
    return found.error();
  }
  const bool right = found && *found == digest;
  const std::lock_guard place{placing};
  const auto still = is_still_placed(digest, placed.path, *status);
  if (!still) {
    return still.error();
  }
  if (!*still) {
    // Removed while it was hashed, and perhaps stored anew: what is recorded now is not of this
    // file. Its descriptor still gives the bytes that were hashed.
    return right;
  }
  if (!right) {
    if (auto ok = records.erase_blob(digest); !ok) {
      return ok.error();
    }
    if (auto ok = move_to_quarantine(placed.path, placed.path.filename().string()); !ok) {
      return ok.error();
    }
    return false;
  }
  // Bound to what the descriptor showed before the hash: a change meanwhile makes the next open
  // hash again.
  if (auto ok = record(digest, *status, std::nullopt, verity.measure(file)); !ok) {
    return ok.error();
  }
  return true;
}

Result<bool> BlobStore::Impl::is_still_placed(const Digest& digest,
                                              const std::filesystem::path& path,
                                              const FileStatus& status) {
  const auto row = records.find_blob(digest);
  if (!row) {
    return row.error();
  }
  if (!row->has_value() || (*row)->state != BlobState::kPresent) {
    return false;
  }
  const auto now = fs.status(path);
  if (!now) {
    return now.error().code() == Error::Code::kNotFound ? Result<bool>{false} : now.error();
  }
  return now->device == status.device && now->inode == status.inode;
}

bool BlobStore::Impl::is_unchanged(const BlobRecord& row,
                                   const File& file,
                                   const FileStatus& status) {
  return row.verity ? status.size == row.size && verity.measure(file) == row.verity
                    : row.same_file(status);
}

Result<OpenBlob> BlobStore::Impl::open(const Digest& digest,
                                       const WantedBlob* wanted,
                                       bool force_hash,
                                       const BeforeRead& before_read) {
  std::unique_lock place{placing};
  const auto row = records.find_blob(digest);
  if (!row) {
    return row.error();
  }
  if (!row->has_value() || (*row)->state != BlobState::kPresent) {
    return Error{Error::Code::kNotFound, "blob " + digest.to_string() + " is not in the store"};
  }
  auto placed = open_placed(digest);
  if (!placed) {
    if (placed.error().code() == Error::Code::kNotFound) {
      if (auto ok = records.erase_blob(digest); !ok) {
        return ok.error();
      }
      return Error{Error::Code::kNotFound,
                   "the file of blob " + digest.to_string() + " was removed; fetch it again"};
    }
    if (!is_wrong_content(placed.error())) {
      return std::move(placed).error();
    }
    // Not even its head can be read.
    if (auto ok = records.erase_blob(digest); !ok) {
      return ok.error();
    }
    const auto path = place_of(digest, true);
    if (auto ok = move_to_quarantine(path, path.filename().string()); !ok) {
      return ok.error();
    }
    return in_quarantine(digest);
  }
  const auto status = placed->file->status();
  if (!status) {
    return status.error();
  }
  place.unlock();
  const bool enough = wanted == nullptr ? !(*row)->chunks : (*row)->checked_for(wanted->chunks);
  bool rehashed = false;
  if (force_hash || !enough || !is_unchanged(**row, *placed->file, *status)) {
    const auto right = settle(digest, *placed, before_read);
    if (!right) {
      return right.error();
    }
    if (!*right) {
      return in_quarantine(digest);
    }
    rehashed = true;
  }
  return OpenBlob{digest, status->size, std::move(placed->file), rehashed, placed->sealed};
}

}  // namespace skerry::registry
