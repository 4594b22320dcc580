#include "skerry/controller/blob_vault.hpp"

#include <atomic>
#include <cerrno>
#include <utility>

#include <sys/mman.h>

namespace skerry::controller {

MappedBlob::~MappedBlob() {
  ::munmap(data_, size_);
}

BlobUpload::BlobUpload(FileSystem& fs,
                       std::unique_ptr<File> file,
                       std::filesystem::path staged,
                       std::filesystem::path final_path,
                       Digest digest,
                       std::uint64_t size)
    : fs_(fs),
      file_(std::move(file)),
      staged_(std::move(staged)),
      final_(std::move(final_path)),
      digest_(digest),
      size_(size) {}

BlobUpload::~BlobUpload() {
  if (!done_) {
    file_.reset();
    // Best effort: what stays is cleared at the next start.
    static_cast<void>(fs_.remove(staged_).has_value());
  }
}

Result<void> BlobUpload::write(ByteView bytes) {
  if (bytes.size() > size_ - written_) {
    return Error{Error::Code::kSizeMismatch,
                 digest_.to_string() + " is longer than the " + std::to_string(size_) +
                     " bytes that were announced"};
  }
  if (auto wrote = file_->write_at(written_, bytes); !wrote) {
    return wrote;
  }
  hash_.update(bytes);
  written_ += bytes.size();
  return {};
}

Result<void> BlobUpload::commit() {
  if (written_ != size_) {
    return Error{Error::Code::kSizeMismatch,
                 digest_.to_string() + ": " + std::to_string(written_) + " of " +
                     std::to_string(size_) + " bytes arrived"};
  }
  if (const Digest actual = hash_.finish(); actual != digest_) {
    return Error{Error::Code::kDigestMismatch,
                 "the bytes that arrived are " + actual.to_string() + ", not " +
                     digest_.to_string() + ": nothing was stored"};
  }
  if (auto synced = file_->sync(); !synced) {
    return synced;
  }
  if (auto sealed = file_->set_mode(0440); !sealed) {
    return sealed;
  }
  if (auto made = fs_.create_directories(final_.parent_path()); !made) {
    return made;
  }
  if (auto renamed = fs_.rename(staged_, final_); !renamed) {
    return renamed;
  }
  done_ = true;
  return fs_.sync_directory(final_.parent_path());
}

BlobVault::BlobVault(FileSystem& fs, std::filesystem::path directory, std::uint64_t max_size)
    : fs_(fs), directory_(std::move(directory)), max_size_(max_size) {}

Result<std::unique_ptr<BlobVault>> BlobVault::open(FileSystem& fs,
                                                   std::filesystem::path directory,
                                                   std::uint64_t max_size) {
  const auto staging = directory / "staging";
  for (const auto& path : {staging, directory / "sha256"}) {
    if (auto made = fs.create_directories(path); !made) {
      return made.error().with_context("opening the blob store");
    }
  }
  const auto left = fs.list(staging);
  if (!left) {
    return left.error().with_context("opening the blob store");
  }
  for (const auto& name : *left) {
    if (auto removed = fs.remove(staging / name); !removed) {
      return removed.error().with_context("clearing an interrupted upload");
    }
  }
  return std::unique_ptr<BlobVault>{new BlobVault{fs, std::move(directory), max_size}};
}

std::filesystem::path BlobVault::path_of(const Digest& digest) const {
  const std::string hex = digest.hex();
  return directory_ / "sha256" / hex.substr(0, 2) / hex;
}

bool BlobVault::has(const Digest& digest) const {
  return fs_.exists(path_of(digest));
}

Result<std::shared_ptr<const MappedBlob>> BlobVault::map(const Digest& digest) const {
  auto file = fs_.open(path_of(digest), OpenMode::kRead);
  if (!file) {
    return Error{file.error().code(), "the blob " + digest.to_string() + " is not here"};
  }
  const auto status = (*file)->status();
  if (!status) {
    return status.error();
  }
  void* data = ::mmap(nullptr, status->size, PROT_READ, MAP_SHARED, (*file)->fd(), 0);
  if (data == MAP_FAILED) {
    return errno_error(errno, "mapping the blob " + digest.to_string());
  }
  ::madvise(data, status->size, MADV_SEQUENTIAL);
  return std::shared_ptr<const MappedBlob>{std::make_shared<MappedBlob>(data, status->size)};
}

Result<std::unique_ptr<File>> BlobVault::open_file(const Digest& digest) const {
  return fs_.open(path_of(digest), OpenMode::kRead);
}

Result<void> BlobVault::adopt(const std::filesystem::path& file, const Digest& digest) {
  auto opened = fs_.open(file, OpenMode::kReadWrite);
  if (!opened) {
    return opened.error();
  }
  if (auto synced = (*opened)->sync(); !synced) {
    return synced;
  }
  if (auto sealed = (*opened)->set_mode(0440); !sealed) {
    return sealed;
  }
  const auto path = path_of(digest);
  if (auto made = fs_.create_directories(path.parent_path()); !made) {
    return made;
  }
  if (auto renamed = fs_.rename(file, path); !renamed) {
    return renamed;
  }
  return fs_.sync_directory(path.parent_path());
}

Result<void> BlobVault::remove(const Digest& digest) {
  return fs_.remove(path_of(digest));
}

Result<std::unique_ptr<BlobUpload>> BlobVault::begin(const Digest& digest, std::uint64_t size) {
  if (size == 0) {
    return Error{Error::Code::kInvalidArgument, "an empty blob cannot be stored"};
  }
  if (size > max_size_) {
    return Error{Error::Code::kTooLarge,
                 "a blob of " + std::to_string(size) + " bytes is larger than blobs.max_size (" +
                     std::to_string(max_size_) + ")"};
  }
  static std::atomic<std::uint64_t> serial{0};
  auto staged = directory_ / "staging" / (digest.hex() + "-" + std::to_string(++serial));
  auto file = fs_.open(staged, OpenMode::kCreateExclusive);
  if (!file) {
    return file.error().with_context("starting an upload");
  }
  std::unique_ptr<BlobUpload> upload{
      new BlobUpload{fs_, std::move(*file), std::move(staged), path_of(digest), digest, size}};
  if (auto reserved = upload->file_->allocate(size); !reserved) {
    return reserved.error().with_context("reserving space for an upload");
  }
  return upload;
}

Result<Digest> BlobVault::put(std::string_view content) {
  const Digest digest = Digest::of(content);
  if (has(digest)) {
    return digest;
  }
  auto upload = begin(digest, content.size());
  if (!upload) {
    return upload.error();
  }
  if (auto wrote = (*upload)->write(as_bytes(content)); !wrote) {
    return wrote.error();
  }
  if (auto committed = (*upload)->commit(); !committed) {
    return committed.error();
  }
  return digest;
}

}  // namespace skerry::controller
