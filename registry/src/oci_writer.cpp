// Making an OCI image layout: blobs under temporary names until they are hashed, the index last.

#include <utility>

#include "skerry/registry/oci_layout.hpp"

#include "buffer_worker.hpp"
#include "file_hash.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kCopyPiece = 1U << 20U;
constexpr std::uint32_t kLayoutMode = 0644;
constexpr std::uint32_t kLayoutFolderMode = 0755;

// Copies and hashes in one pass; durable on return.
Result<Digest> copy_file(FileSystem& fs,
                         const std::filesystem::path& from,
                         const std::filesystem::path& to,
                         std::uint64_t size) {
  auto source = fs.open(from, OpenMode::kRead);
  if (!source) {
    return source.error();
  }
  auto copy = fs.open(to, OpenMode::kCreateExclusive, kLayoutMode);
  if (!copy) {
    return copy.error();
  }
  if (auto ok = (*copy)->allocate(size); !ok) {
    return ok.error();
  }
  Sha256 hash;
  Buffer buffer{kCopyPiece};
  for (std::uint64_t done = 0; done < size;) {
    const auto wanted = std::min<std::uint64_t>(kCopyPiece, size - done);
    const auto count = (*source)->read_at(done, buffer.space().first(wanted));
    if (!count) {
      return count.error();
    }
    if (*count != wanted) {
      return Error{Error::Code::kSizeMismatch, from.string() + " became shorter while it was read"};
    }
    const ByteView piece{buffer.space().first(*count)};
    hash.update(piece);
    if (auto ok = (*copy)->write_at(done, piece); !ok) {
      return ok.error();
    }
    done += *count;
  }
  if (auto ok = (*copy)->sync(); !ok) {
    return ok.error();
  }
  return hash.finish();
}

Result<Digest> hash_path(FileSystem& fs, const std::filesystem::path& path, std::uint64_t size) {
  auto file = fs.open(path, OpenMode::kRead);
  if (!file) {
    return file.error();
  }
  return digest_of_file(**file, size);
}

}  // namespace

Result<OciLayoutWriter> OciLayoutWriter::create(FileSystem& fs,
                                                std::filesystem::path folder,
                                                ShareFile share) {
  if (fs.exists(folder / "index.json")) {
    return Error{Error::Code::kAlreadyExists,
                 folder.string() + " holds a finished image layout; give another folder"};
  }
  OciLayoutWriter writer{fs, std::move(folder), std::move(share)};
  if (auto made = fs.create_directories(writer.blob_folder(), kLayoutFolderMode); !made) {
    return made.error();
  }
  // What an interrupted attempt was writing.
  const auto names = fs.list(writer.folder_ / "blobs");
  if (!names) {
    return names.error();
  }
  for (const std::string& name : *names) {
    if (name.starts_with(".part-")) {
      if (auto removed = fs.remove(writer.folder_ / "blobs" / name); !removed) {
        return removed.error();
      }
    }
  }
  return writer;
}

std::filesystem::path OciLayoutWriter::temporary() {
  return folder_ / "blobs" / (".part-" + std::to_string(temporaries_++));
}

Result<bool> OciLayoutWriter::have(const Digest& digest, std::uint64_t size) {
  const auto path = blob_folder() / digest.hex();
  const auto status = fs_->status(path);
  if (!status) {
    return status.error().code() == Error::Code::kNotFound ? Result<bool>{false} : status.error();
  }
  if (status->size == size) {
    const auto found = hash_path(*fs_, path, size);
    if (!found) {
      return found.error();
    }
    if (*found == digest) {
      return true;
    }
  }
  if (auto removed = fs_->remove(path); !removed) {
    return removed.error();
  }
  return false;
}

Result<void> OciLayoutWriter::adopt(const std::filesystem::path& temporary, const Digest& digest) {
  if (auto renamed = fs_->rename(temporary, blob_folder() / digest.hex()); !renamed) {
    return renamed;
  }
  // Two names of one file: the rename changes nothing then.
  return fs_->exists(temporary) ? fs_->remove(temporary) : Result<void>{};
}

Result<OciDescriptor> OciLayoutWriter::add(std::string media_type, std::string_view content) {
  OciDescriptor descriptor;
  descriptor.media_type = std::move(media_type);
  descriptor.digest = Digest::of(content);
  descriptor.size = content.size();
  const auto here = have(descriptor.digest, descriptor.size);
  if (!here) {
    return here.error();
  }
  if (*here) {
    counts_.kept_bytes += descriptor.size;
  } else if (auto written = write_file_atomic(
                 *fs_, blob_folder() / descriptor.digest.hex(), content, kLayoutMode);
             !written) {
    return written.error();
  }
  ++counts_.blobs;
  counts_.bytes += descriptor.size;
  return descriptor;
}

Result<OciDescriptor> OciLayoutWriter::add_file(std::string media_type,
                                                const std::filesystem::path& source,
                                                std::optional<Digest> expected) {
  const auto status = fs_->status(source);
  if (!status) {
    return status.error();
  }
  if (status->is_directory) {
    return Error{Error::Code::kInvalidArgument, source.string() + " is a directory"};
  }
  OciDescriptor descriptor;
  descriptor.media_type = std::move(media_type);
  descriptor.size = status->size;
  ++counts_.blobs;
  counts_.bytes += descriptor.size;
  if (expected) {
    const auto here = have(*expected, descriptor.size);
    if (!here) {
      return here.error();
    }
    if (*here) {
      counts_.kept_bytes += descriptor.size;
      descriptor.digest = *expected;
      return descriptor;
    }
  }
  const auto part = temporary();
  bool shared = false;
  if (share_) {
    auto done = share_(source, part);
    if (!done) {
      return done.error();
    }
    shared = *done;
  }
  const auto digest = shared ? hash_path(*fs_, part, descriptor.size)
                             : copy_file(*fs_, source, part, descriptor.size);
  if (!digest) {
    return digest.error();
  }
  if (expected && *digest != *expected) {
    return Error{Error::Code::kDigestMismatch,
                 source.string() + " has the digest " + digest->to_string() + ", not " +
                     expected->to_string()};
  }
  counts_.shared_bytes += shared ? descriptor.size : 0;
  descriptor.digest = *digest;
  if (auto done = adopt(part, *digest); !done) {
    return done.error();
  }
  return descriptor;
}

void OciLayoutWriter::list(OciDescriptor manifest, const std::string& name) {
  if (!name.empty()) {
    manifest.annotations.insert_or_assign(std::string{kOciRefName}, name);
  }
  index_.manifests.push_back(std::move(manifest));
}

Result<void> OciLayoutWriter::finish(OciAnnotations annotations) {
  index_.annotations = std::move(annotations);
  for (const auto& folder : {blob_folder(), folder_ / "blobs"}) {
    if (auto synced = fs_->sync_directory(folder); !synced) {
      return synced;
    }
  }
  if (auto written = write_file_atomic(*fs_, folder_ / "oci-layout", oci_marker(), kLayoutMode);
      !written) {
    return written;
  }
  return write_file_atomic(*fs_, folder_ / "index.json", index_.serialise(), kLayoutMode);
}

}  // namespace skerry::registry
