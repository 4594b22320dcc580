// What a start after a crash does, before anything else uses the store: every file that may stay
// has a record, every record has its file, and what is left of interrupted work is either resumable
// or gone.

#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"

namespace skerry::registry {

Result<void> BlobStore::Impl::recover() {
  if (auto ok = recover_records(); !ok) {
    return ok.error().with_context("recovery");
  }
  if (auto ok = recover_blobs(); !ok) {
    return ok.error().with_context("recovery");
  }
  if (auto ok = recover_staging(); !ok) {
    return ok.error().with_context("recovery");
  }
  return {};
}

Result<void> BlobStore::Impl::recover_records() {
  const auto rows = records.list_blobs();
  if (!rows) {
    return rows.error();
  }
  for (const auto& row : *rows) {
    if (row.state == BlobState::kDeleting) {
      if (auto ok = finish_removal(row.digest); !ok) {
        return ok;
      }
      ++recovery.deletions_finished;
      continue;
    }
    if (options.key) {
      if (auto ok = drop_double(row.digest); !ok) {
        return ok;
      }
    }
    auto status = fs.status(path_of(row.digest));
    if (!status && status.error().code() == Error::Code::kNotFound) {
      status = fs.status(place_of(row.digest, !options.seal));
    }
    if (status) {
      ++recovery.blobs;
      continue;
    }
    if (status.error().code() != Error::Code::kNotFound) {
      return status.error();
    }
    if (auto ok = records.erase_blob(row.digest); !ok) {
      return ok;
    }
    ++recovery.records_dropped;
  }
  return {};
}

Result<void> BlobStore::Impl::recover_blobs() {
  const auto folders = fs.list(blobs());
  if (!folders) {
    return folders.error();
  }
  for (const auto& folder : *folders) {
    const auto names = fs.list(blobs() / folder);
    if (!names) {
      return names.error();
    }
    for (const auto& name : *names) {
      if (auto ok = recover_file(blobs() / folder / name, name); !ok) {
        return ok;
      }
    }
  }
  return {};
}

Result<void> BlobStore::Impl::recover_file(const std::filesystem::path& path,
                                           const std::string& name) {
  const bool sealed = name.ends_with(kSealedSuffix);
  const auto digest =
      Digest::from_hex(name.substr(0, name.size() - (sealed ? kSealedSuffix.size() : 0)));
  if (!digest || place_of(*digest, sealed) != path) {
    recovery.quarantined.push_back(name);
    return move_to_quarantine(path, name);
  }
  if (sealed && !options.key) {
    return Error{Error::Code::kKeyInvalid,
                 "there are encrypted blobs, and no key is configured; set "
                 "storage.encryption_key, with which they are read, and decrypted if "
                 "storage.encryption is \"off\""};
  }
  if (sealed && is_unreadable(path)) {
    ++recovery.unreadable;
    return finish_removal(*digest);
  }
  const auto row = records.find_blob(*digest);
  if (!row) {
    return row.error();
  }
  if (row->has_value()) {
    return {};
  }
  // A crash between the rename and the record, or a file from elsewhere: only its bytes tell.
  const auto right = has_right_bytes(*digest, path, sealed);
  if (!right) {
    return right.error();
  }
  if (!*right) {
    recovery.quarantined.push_back(name);
    return move_to_quarantine(path, name);
  }
  // The rename may not have been synced before the crash; the record must not outlive it.
  if (auto ok = fs.sync_directory(path.parent_path()); !ok) {
    return ok;
  }
  const auto file = open_form(path, sealed);
  if (!file) {
    return file.error();
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  if (auto ok = record(*digest, *status, std::nullopt); !ok) {
    return ok;
  }
  ++recovery.adopted;
  ++recovery.blobs;
  return {};
}

Result<void> BlobStore::Impl::recover_staging() {
  const auto names = fs.list(staging());
  if (!names) {
    return names.error();
  }
  const std::set<std::string> all{names->begin(), names->end()};
  for (const auto& name : *names) {
    const auto stem = name.substr(0, name.rfind('.'));
    const auto digest = Digest::from_hex(stem);
    bool resumable = false;
    if (digest && all.count(stem + std::string{kPartSuffix}) != 0 &&
        all.count(stem + std::string{kMapSuffix}) != 0 &&
        (name.ends_with(kPartSuffix) || name.ends_with(kMapSuffix) ||
         name.ends_with(kInboxSuffix))) {
      const auto present = is_present(*digest);
      if (!present) {
        return present.error();
      }
      resumable = !*present && is_continuable(*digest);
    }
    if (resumable) {
      recovery.staged += name.ends_with(kPartSuffix) ? 1U : 0U;
      continue;
    }
    if (auto ok = remove_if_there(staging() / name); !ok) {
      return ok;
    }
    ++recovery.swept;
  }
  return {};
}

}  // namespace skerry::registry
