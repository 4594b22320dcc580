#pragma once

// The controller's blobs: content-addressed files, `blobs/sha256/ab/<hex>`, immutable once there.
// Uploads are hashed while they are written and become visible only when the digest is right.
// Downloads are served from a mapping, so that the payload is not copied on its way to gRPC. An S3
// implementation takes the place of this class behind the same calls. Thread-safe; calls block.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::controller {

// A whole blob in memory, read-only; the mapping lives as long as someone holds it.
class MappedBlob {
 public:
  MappedBlob(void* data, std::size_t size) : data_(data), size_(size) {}
  ~MappedBlob();
  MappedBlob(const MappedBlob&) = delete;
  MappedBlob& operator=(const MappedBlob&) = delete;

  [[nodiscard]] ByteView bytes() const { return {static_cast<const std::uint8_t*>(data_), size_}; }

 private:
  void* data_;
  std::size_t size_;
};

class BlobUpload {
 public:
  // Removes what was written unless `commit` succeeded.
  ~BlobUpload();
  BlobUpload(const BlobUpload&) = delete;
  BlobUpload& operator=(const BlobUpload&) = delete;

  // Bytes in order; kSizeMismatch beyond the announced size. One thread at a time.
  Result<void> write(ByteView bytes);
  // kSizeMismatch, kDigestMismatch; durable and visible on success.
  Result<void> commit();

 private:
  friend class BlobVault;
  BlobUpload(FileSystem& fs,
             std::unique_ptr<File> file,
             std::filesystem::path staged,
             std::filesystem::path final_path,
             Digest digest,
             std::uint64_t size);
  FileSystem& fs_;
  std::unique_ptr<File> file_;
  std::filesystem::path staged_;
  std::filesystem::path final_;
  Digest digest_;
  std::uint64_t size_;
  std::uint64_t written_ = 0;
  Sha256 hash_;
  bool done_ = false;
};

class BlobVault {
 public:
  // Makes the folders and clears what interrupted uploads left. `fs` must outlive the vault.
  static Result<std::unique_ptr<BlobVault>> open(FileSystem& fs,
                                                 std::filesystem::path directory,
                                                 std::uint64_t max_size);

  [[nodiscard]] bool has(const Digest& digest) const;
  // kNotFound, kIo.
  [[nodiscard]] Result<std::shared_ptr<const MappedBlob>> map(const Digest& digest) const;
  // kNotFound.
  [[nodiscard]] Result<std::unique_ptr<File>> open_file(const Digest& digest) const;
  // Takes over a file of the same file system that its maker hashed: durable and visible on
  // success.
  Result<void> adopt(const std::filesystem::path& file, const Digest& digest);
  // Whoever has it mapped keeps it. kNotFound.
  Result<void> remove(const Digest& digest);
  // kTooLarge beyond the configured size, kInvalidArgument for an empty blob, kNoSpace.
  Result<std::unique_ptr<BlobUpload>> begin(const Digest& digest, std::uint64_t size);
  // A small blob at once; the digest is that of `content`.
  Result<Digest> put(std::string_view content);

 private:
  BlobVault(FileSystem& fs, std::filesystem::path directory, std::uint64_t max_size);
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;

  FileSystem& fs_;
  std::filesystem::path directory_;
  std::uint64_t max_size_;
};

}  // namespace skerry::controller
