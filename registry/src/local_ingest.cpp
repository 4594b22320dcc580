// Local files into the store, in one pass over their bytes: chunks are read, hashed and written on
// all cores; the digest of the whole is computed only where nothing signed names the chunks.

#include "skerry/registry/blob_store.hpp"

#include "blob_store_impl.hpp"
#include "file_hash.hpp"

namespace skerry::registry {
namespace {

// A file to add: opened, its size checked, and a file in staging/ with space reserved.
struct LocalCopy {
  std::unique_ptr<File> source;
  std::uint64_t size = 0;
  std::filesystem::path path;
  std::unique_ptr<File> staged;
};

Result<LocalCopy> start_copy(BlobStore::Impl& store,
                             const std::filesystem::path& source,
                             std::uint32_t chunk_size) {
  LocalCopy copy;
  auto input = store.fs.open(source, OpenMode::kRead);
  if (!input) {
    return input.error();
  }
  copy.source = std::move(*input);
  const auto status = copy.source->status();
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, "it is a directory"};
  }
  copy.size = status->size;
  if (auto ok = check_chunking(copy.size, chunk_size); !ok) {
    return ok.error();
  }
  if (auto ok = store.check_space(copy.size); !ok) {
    return ok.error();
  }
  copy.path = store.temporary_path();
  auto staged = store.create_form(copy.path, copy.size, store.options.seal, true);
  if (!staged) {
    (void)store.remove_if_there(copy.path);
    return staged.error();
  }
  copy.staged = std::move(*staged);
  return copy;
}

OnChunk write_to(File& staged) {
  return
      [&staged](std::uint64_t offset, ByteView bytes) { return staged.write_bulk(offset, bytes); };
}

Error not_expected(const Digest& found, const Digest& expected) {
  return {Error::Code::kDigestMismatch,
          "it has the digest " + found.to_string() + ", not " + expected.to_string()};
}

}  // namespace

Result<BlobStore::IngestedFile> BlobStore::ingest_file(const std::filesystem::path& source,
                                                       std::uint32_t chunk_size,
                                                       std::optional<Digest> expected) {
  const std::string context = "adding " + source.string();
  auto copy = start_copy(*impl_, source, chunk_size);
  if (!copy) {
    return copy.error().with_context(context);
  }
  auto hashed = hash_open_file(*copy->source, copy->size, chunk_size, write_to(*copy->staged));
  const auto stored = [&]() -> Result<void> {
    if (!hashed) {
      return hashed.error();
    }
    if (expected && hashed->digest != *expected) {
      return not_expected(hashed->digest, *expected);
    }
    if (auto index = put(hashed->index.serialise()); !index) {
      return index.error();
    }
    const auto present = settle(hashed->digest);
    if (!present) {
      return present.error();
    }
    return *present ? impl_->fs.remove(copy->path)
                    : impl_->commit(copy->path, copy->staged, hashed->digest, std::nullopt);
  }();
  if (!stored) {
    (void)impl_->remove_if_there(copy->path);
    return stored.error().with_context(context);
  }
  return IngestedFile{hashed->digest, std::move(hashed->index)};
}

Result<void> BlobStore::ingest_file(const std::filesystem::path& source,
                                    const Digest& digest,
                                    const ChunkIndex& index) {
  const std::string context = "adding " + source.string();
  if (index.count() == 1 && index.chunk(0) != digest) {
    return not_expected(index.chunk(0), digest).with_context(context);
  }
  const WantedBlob wanted{digest, index.size(), index.chunk_size(), index.digest()};
  auto held = holds(wanted);
  if (held && !*held) {
    held = settle(digest);  // here under another chunk index, perhaps
  }
  if (!held) {
    return held.error().with_context(context);
  }
  if (*held) {
    return {};
  }
  auto copy = start_copy(*impl_, source, index.chunk_size());
  if (!copy) {
    return copy.error().with_context(context);
  }
  const auto stored = [&]() -> Result<void> {
    if (copy->size != index.size()) {
      return Error{
          Error::Code::kSizeMismatch,
          "it has " + std::to_string(copy->size) + " bytes, not " + std::to_string(index.size())};
    }
    if (auto ok = check_file(*copy->source, index, write_to(*copy->staged)); !ok) {
      return ok;
    }
    if (auto kept = put(index.serialise()); !kept) {
      return kept.error();
    }
    return impl_->commit(copy->path, copy->staged, digest, check_by(index));
  }();
  if (!stored) {
    (void)impl_->remove_if_there(copy->path);
    return stored.error().with_context(context);
  }
  return {};
}

}  // namespace skerry::registry
