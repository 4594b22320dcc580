#pragma once

// The inside of `BlobStore`, shared by its three parts: reading and writing (blob_store.cpp),
// ingest (blob_ingest.cpp) and recovery (blob_recovery.cpp).

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "skerry/registry/blob_store.hpp"

namespace skerry::registry {

// Mode of a file until its bytes are verified.
inline constexpr std::uint32_t kStagedMode = 0600;

struct BlobStore::Impl {
  FileSystem& fs;
  BlobRecords& records;
  const Clock& clock;
  std::filesystem::path root;
  BlobStoreOptions options;
  FileVerity& verity;
  std::unique_ptr<File> lock_file;
  RecoveryReport recovery;

  std::mutex mutex;  // guards what follows; never held while bytes are hashed
  std::set<Digest> open_ingests;
  std::uint64_t next_temporary = 0;

  Impl(FileSystem& file_system,
       BlobRecords& blob_records,
       const Clock& wall,
       std::filesystem::path folder,
       const BlobStoreOptions& store_options)
      : fs(file_system),
        records(blob_records),
        clock(wall),
        root(std::move(folder)),
        options(store_options),
        verity(store_options.verity != nullptr ? *store_options.verity : system_verity()) {}

  [[nodiscard]] std::filesystem::path blobs() const { return root / "blobs" / "sha256"; }
  [[nodiscard]] std::filesystem::path staging() const { return root / "staging"; }
  [[nodiscard]] std::filesystem::path quarantined() const { return root / "quarantine"; }
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path part_of(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path map_of(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path inbox_of(const Digest& digest) const;
  std::filesystem::path temporary_path();

  Result<void> prepare();
  Result<void> take_lock();

  // True if a present record exists; finishes an interrupted deletion that stands in the way.
  Result<bool> is_present(const Digest& digest);
  // kNoSpace unless `size` bytes fit beside the reserve.
  Result<void> check_space(std::uint64_t size);
  // The last steps of every ingest, for a staged file whose bytes were checked: sync, mode, rename,
  // fs-verity, sync of both folders, record. `chunks` is the index they were checked against;
  // nothing: the whole digest was. `file` is closed.
  Result<void> commit(const std::filesystem::path& staged,
                      std::unique_ptr<File>& file,
                      const Digest& digest,
                      const std::optional<Digest>& chunks);
  // True if the open file is the very one that `row` was recorded of.
  [[nodiscard]] bool is_unchanged(const BlobRecord& row,
                                  const File& file,
                                  const FileStatus& status);
  // Records the file at its final place as verified now.
  Result<void> record(const Digest& digest,
                      const FileStatus& status,
                      const std::optional<Digest>& chunks,
                      const std::optional<Digest>& verity = std::nullopt);
  // Moves `path` to quarantine/<name>, replacing an older one of that name.
  Result<void> move_to_quarantine(const std::filesystem::path& path, const std::string& name);
  // The file at `path_of(digest)` hashed: true if it is what its name says.
  Result<bool> has_right_bytes(const Digest& digest);
  // With `wanted`, a check against its chunk index counts; otherwise only that of the whole.
  Result<OpenBlob> open(const Digest& digest,
                        const WantedBlob* wanted,
                        bool force_hash,
                        const BeforeRead& before_read = {});
  // Hashes the whole file: true and recorded if it is what its name says; else false, its record
  // gone and the file in quarantine.
  Result<bool> settle(const Digest& digest, File& file, const BeforeRead& before_read);
  Result<void> finish_removal(const Digest& digest);
  Result<void> remove_if_there(const std::filesystem::path& path);

  // blob_recovery.cpp
  Result<void> recover();
  Result<void> recover_staging();
  Result<void> recover_blobs();
  Result<void> recover_file(const std::filesystem::path& path, const std::string& name);
  Result<void> recover_records();
};

// What a record says of a file whose every chunk was checked against `index`: where there is only
// one chunk, that was the whole file.
inline std::optional<Digest> check_by(const ChunkIndex& index) {
  return index.count() == 1 ? std::nullopt : std::optional{index.digest()};
}

// "<hex>.part", "<hex>.map" and "<hex>.inbox" in staging/.
inline constexpr std::string_view kPartSuffix = ".part";
inline constexpr std::string_view kMapSuffix = ".map";
inline constexpr std::string_view kInboxSuffix = ".inbox";
inline constexpr std::string_view kTemporarySuffix = ".tmp";

// blob_ingest.cpp. The caller has entered `digest` into `open_ingests`; the ingest takes it out.
Result<std::unique_ptr<BlobIngest>> make_ingest(BlobStore::Impl& store,
                                                const Digest& digest,
                                                const ChunkIndex& index);

}  // namespace skerry::registry
