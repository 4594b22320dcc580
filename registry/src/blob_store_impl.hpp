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

#include "sealed_file.hpp"

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

  // Held while a blob's file and its record change together, and while both are looked up; never
  // while bytes are read.
  std::mutex placing;
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
  // Where a blob is in this form; `path_of` is the one that new blobs get.
  [[nodiscard]] std::filesystem::path place_of(const Digest& digest, bool sealed) const;
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const {
    return place_of(digest, options.seal);
  }
  [[nodiscard]] std::filesystem::path part_of(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path map_of(const Digest& digest) const;
  [[nodiscard]] std::filesystem::path inbox_of(const Digest& digest) const;
  std::filesystem::path temporary_path();

  // A blob's file in the form that it has: of both, the one that the store keeps now.
  struct Placed {
    std::unique_ptr<File> file;
    std::filesystem::path path;
    bool sealed = false;
  };
  Result<Placed> open_placed(const Digest& digest);
  Result<std::unique_ptr<File>> open_form(const std::filesystem::path& path, bool sealed);
  // A new file for `size` bytes in the form of new blobs. With `reserve` its space is allocated.
  Result<std::unique_ptr<File>> create_form(const std::filesystem::path& path,
                                            std::uint64_t size,
                                            bool sealed,
                                            bool reserve);
  // The key where files in staging/ are sealed.
  [[nodiscard]] const StoreKey* staging_key() const {
    return options.seal ? options.key.get() : nullptr;
  }

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
  // The end of putting a file at its final place, `target`: what the renaming changed is made
  // durable, then the file is recorded.
  Result<void> record_placed(const Digest& digest,
                             const std::filesystem::path& target,
                             const std::optional<Digest>& chunks);
  // Moves `path` to quarantine/<name>, replacing an older one of that name.
  Result<void> move_to_quarantine(const std::filesystem::path& path, const std::string& name);
  // The file hashed: true if it is what its name says.
  Result<bool> has_right_bytes(const Digest& digest,
                               const std::filesystem::path& path,
                               bool sealed);
  // With `wanted`, a check against its chunk index counts; otherwise only that of the whole.
  Result<OpenBlob> open(const Digest& digest,
                        const WantedBlob* wanted,
                        bool force_hash,
                        const BeforeRead& before_read = {});
  // Hashes the whole file: true and recorded if it is what its name says; else false, its record
  // gone and the file in quarantine. Nothing is recorded or moved if the blob was removed
  // meanwhile.
  Result<bool> settle(const Digest& digest, const Placed& placed, const BeforeRead& before_read);
  // True if `path` is still the file of that status and the blob is not being deleted. With
  // `placing` held.
  Result<bool> is_still_placed(const Digest& digest,
                               const std::filesystem::path& path,
                               const FileStatus& status);
  // With `placing` held, but for recovery.
  Result<void> finish_removal(const Digest& digest);
  // Takes `placing`. False if the blob is not being deleted (any more).
  Result<bool> finish_claimed(const Digest& digest);
  Result<void> remove_if_there(const std::filesystem::path& path);

  // blob_forms.cpp
  Result<bool> convert(const BlobRecord& record, const BeforeRead& before_read);
  Result<bool> copy_form(File& source,
                         std::uint64_t size,
                         const std::filesystem::path& staged,
                         const Digest& digest,
                         const BeforeRead& before_read);
  Result<void> settle_form(const std::filesystem::path& staged,
                           const std::filesystem::path& old_path,
                           const Digest& digest);
  Result<void> give_up_form(const std::filesystem::path& old_path, const Digest& digest);
  // After a crash both forms of one blob may be there: the one that its record was made of stays.
  Result<void> drop_double(const Digest& digest);
  // A sealed file that only a key that was given up could open.
  [[nodiscard]] bool is_unreadable(const std::filesystem::path& path);
  // An interrupted ingest that the present form can continue.
  [[nodiscard]] bool is_continuable(const Digest& digest);

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

// What opening or reading a sealed file says of one that was changed or cut.
inline bool is_wrong_content(const Error& error) {
  return error.code() == Error::Code::kDigestMismatch || error.code() == Error::Code::kKeyInvalid;
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
