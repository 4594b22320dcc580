// Blobs lie on the disk plain or sealed. New ones get the form that the store keeps now; those of
// the other form are read as they are, and brought into it one by one.

#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"
#include "buffer_worker.hpp"

namespace skerry::registry {
namespace {

constexpr std::uint32_t kConvertedMode = 0440;
constexpr std::size_t kConvertPiece = 1U << 20U;

// Copies all of `from` to `to`, which has its size, and returns its digest.
Result<Digest> copy_and_hash(File& from,
                             File& to,
                             std::uint64_t size,
                             const BlobStore::BeforeRead& before_read) {
  Sha256 hash;
  Buffer buffer{kConvertPiece};
  for (std::uint64_t offset = 0; offset < size;) {
    const auto wanted = std::min<std::uint64_t>(kConvertPiece, size - offset);
    if (before_read) {
      if (auto ok = before_read(wanted); !ok) {
        return ok.error();
      }
    }
    const auto count = from.read_at(offset, buffer.space().first(wanted));
    if (!count) {
      return count.error();
    }
    if (*count != wanted) {
      return Error{Error::Code::kDigestMismatch, "the file is shorter than it was"};
    }
    const ByteView piece = buffer.space().first(wanted);
    hash.update(piece);
    if (auto ok = to.write_bulk(offset, piece); !ok) {
      return ok.error();
    }
    offset += wanted;
  }
  return hash.finish();
}

bool is_same_inode(const BlobRecord& row, const FileStatus& status) {
  return row.device == status.device && row.inode == status.inode &&
         row.ctime_ns == status.ctime_ns;
}

}  // namespace

Result<std::unique_ptr<File>> BlobStore::Impl::open_form(const std::filesystem::path& path,
                                                         bool sealed) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file || !sealed) {
    return file;
  }
  if (!options.key) {
    return Error{Error::Code::kFailedPrecondition, path.string() + " is encrypted; no key is set"};
  }
  return open_sealed(std::move(*file), *options.key);
}

Result<std::unique_ptr<File>> BlobStore::Impl::create_form(const std::filesystem::path& path,
                                                           std::uint64_t size,
                                                           bool sealed,
                                                           bool reserve) {
  auto file = fs.open(path, OpenMode::kCreateExclusive, kStagedMode);
  if (!file) {
    return file;
  }
  if (sealed) {
    file = create_sealed(std::move(*file), *options.key);
  }
  // A sealed file must know its size before it is written.
  if (reserve || sealed) {
    if (auto ok = (*file)->allocate(size); !ok) {
      return ok.error();
    }
  }
  return file;
}

Result<BlobStore::Impl::Placed> BlobStore::Impl::open_placed(const Digest& digest) {
  const bool first = options.seal;
  auto file = open_form(path_of(digest), first);
  if (file) {
    return Placed{std::move(*file), path_of(digest), first};
  }
  if (file.error().code() != Error::Code::kNotFound || !options.key) {
    return file.error();
  }
  const auto path = place_of(digest, !first);
  file = open_form(path, !first);
  if (!file) {
    return file.error();
  }
  return Placed{std::move(*file), path, !first};
}

Result<void> BlobStore::Impl::drop_double(const Digest& digest) {
  const auto sealed = fs.status(place_of(digest, true));
  const auto plain = fs.status(place_of(digest, false));
  if (!sealed || !plain) {
    return {};
  }
  const auto row = records.find_blob(digest);
  if (!row) {
    return row.error();
  }
  // What the record was made of is whole and durable, whichever it is. If it was made of neither,
  // the plain one stays: nothing but its bytes is needed to check it.
  const bool keep_sealed = row->has_value() && is_same_inode(**row, *sealed);
  const auto extra = place_of(digest, !keep_sealed);
  if (auto ok = remove_if_there(extra); !ok) {
    return ok;
  }
  ++recovery.swept;
  return fs.sync_directory(extra.parent_path());
}

bool BlobStore::Impl::is_unreadable(const std::filesystem::path& path) {
  const auto file = open_form(path, true);
  return !file && file.error().code() == Error::Code::kKeyInvalid;
}

bool BlobStore::Impl::is_continuable(const Digest& digest) {
  const auto* key = staging_key();
  if (key == nullptr) {
    return true;  // `begin` starts over where the size is another
  }
  auto file = fs.open(part_of(digest), OpenMode::kRead);
  return file && open_sealed(std::move(*file), *key);
}

// Copies `source` to `staged` in the other form; false if it is not what `digest` says.
Result<bool> BlobStore::Impl::copy_form(File& source,
                                        std::uint64_t size,
                                        const std::filesystem::path& staged,
                                        const Digest& digest,
                                        const BeforeRead& before_read) {
  auto file = create_form(staged, size, options.seal, true);
  if (!file) {
    return file.error();
  }
  const auto found = copy_and_hash(source, **file, size, before_read);
  if (!found && !is_wrong_content(found.error())) {
    return found.error();
  }
  if (!found || *found != digest) {
    return false;
  }
  if (auto ok = (*file)->sync(); !ok) {
    return ok.error();
  }
  if (auto ok = (*file)->set_mode(kConvertedMode); !ok) {
    return ok.error();
  }
  return true;
}

// Puts the copy in its place, records it, and removes the old form.
Result<void> BlobStore::Impl::settle_form(const std::filesystem::path& staged,
                                          const std::filesystem::path& old_path,
                                          const Digest& digest) {
  const auto target = path_of(digest);
  if (auto ok = fs.rename(staged, target, false); !ok) {
    return ok;
  }
  if (auto ok = record_placed(digest, target, std::nullopt); !ok) {
    return ok;
  }
  if (auto ok = remove_if_there(old_path); !ok) {
    return ok;
  }
  return fs.sync_directory(old_path.parent_path());
}

// A blob that is not what its name says leaves the catalogue and goes into quarantine.
Result<void> BlobStore::Impl::give_up_form(const std::filesystem::path& old_path,
                                           const Digest& digest) {
  if (auto ok = records.erase_blob(digest); !ok) {
    return ok;
  }
  auto moved = move_to_quarantine(old_path, old_path.filename().string());
  return moved ? Result<void>{} : moved.error();
}

Result<bool> BlobStore::Impl::convert(const BlobRecord& record_of_old,
                                      const BeforeRead& before_read) {
  const auto& digest = record_of_old.digest;
  const auto old_path = place_of(digest, !options.seal);
  auto source = open_form(old_path, !options.seal);
  if (!source) {
    return source.error().code() == Error::Code::kNotFound ? Result<bool>{false} : source.error();
  }
  const auto size = (*source)->status();
  if (!size) {
    return size.error();
  }
  if (auto ok = check_space(size->size); !ok) {
    return ok.error();
  }
  const auto staged = temporary_path();
  const auto copied = copy_form(**source, size->size, staged, digest, before_read);
  const std::lock_guard place{placing};
  const auto row = records.find_blob(digest);
  const bool still_there =
      row && row->has_value() && (*row)->state == BlobState::kPresent && fs.exists(old_path);
  if (copied && *copied && still_there) {
    const auto done = settle_form(staged, old_path, digest);
    return done ? Result<bool>{true} : done.error();
  }
  (void)remove_if_there(staged);
  if (!copied || !row) {
    return copied ? row.error() : copied.error();
  }
  if (*copied || !still_there) {
    return true;  // removed meanwhile
  }
  const auto gone = give_up_form(old_path, digest);
  return gone ? Result<bool>{true} : gone.error();
}

Result<std::unique_ptr<File>> BlobStore::open_unverified(const Digest& digest) {
  const std::lock_guard place{impl_->placing};
  auto placed = impl_->open_placed(digest);
  if (!placed) {
    return placed.error();
  }
  return std::move(placed->file);
}

Result<bool> BlobStore::convert_one(const BeforeRead& before_read) {
  if (!impl_->options.key) {
    return false;
  }
  const auto rows = impl_->records.list_blobs();
  if (!rows) {
    return rows.error();
  }
  for (const auto& row : *rows) {
    if (row.state != BlobState::kPresent ||
        !impl_->fs.exists(impl_->place_of(row.digest, !impl_->options.seal))) {
      continue;
    }
    auto done = impl_->convert(row, before_read);
    if (!done) {
      return done.error().with_context("converting blob " + row.digest.to_string());
    }
    if (*done) {
      return true;
    }
  }
  return false;
}

Result<StoreForms> BlobStore::forms() {
  const auto rows = impl_->records.list_blobs();
  if (!rows) {
    return rows.error();
  }
  StoreForms forms;
  for (const auto& row : *rows) {
    if (row.state == BlobState::kPresent) {
      ++(impl_->fs.exists(impl_->place_of(row.digest, true)) ? forms.sealed : forms.plain);
    }
  }
  return forms;
}

}  // namespace skerry::registry
