#pragma once

// The content store: blobs named by their SHA-256, verified before they get their name. Ingest
// takes verified chunks in any order and survives a kill at any point; docs/formats/registry.md has
// the layout and the order of syncs. Agent, controller and CLI each keep one.
//
// The guarantee: every byte of a file under blobs/sha256/ was hashed before its record was
// committed, either against the whole-file SHA-256 that names it, or against the chunk index that a
// signed manifest names beside that digest; then the record says which index, and the file is given
// only to who names the same pair. Anyone else, and whoever has only the digest, gets it after the
// whole file was hashed. `open_verified` hands out a descriptor whose device, inode, size and
// change time are those of the moment of the check, or hashes again (ADR 0050). Where the kernel
// has fs-verity, its measure of the file takes their place, and the kernel checks every page.
//
// A store that encrypts keeps `<hex>.sealed` instead of `<hex>` (ADR 0093). Everything here speaks
// of the plain bytes all the same: files that are handed out decrypt as they are read.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_records.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/file_verity.hpp"
#include "skerry/registry/store_key.hpp"
#include "skerry/registry/wanted_blob.hpp"

namespace skerry::registry {

// A verified blob, open for reading. Keep it open for as long as the verification must hold.
struct OpenBlob {
  Digest digest;
  std::uint64_t size = 0;
  std::unique_ptr<File> file;
  // True if the bytes were hashed by this call, false if the recorded identity still held.
  bool rehashed = false;
  // True if the disk has it encrypted: then `file->fd()` is no use to who wants the bytes.
  bool sealed = false;

  // A descriptor of the plain bytes, for a worker: of the file itself, or, of a sealed one, of a
  // copy in memory that nobody can change (a memfd with all seals), filled with authenticated
  // chunks on all cores. kOutOfMemory if there is no room for it, kDigestMismatch if the file was
  // changed. Blocks while it copies.
  [[nodiscard]] Result<UniqueFd> plain_fd() const;
};

struct ChunkRun {
  std::uint64_t first = 0;
  std::uint64_t count = 0;

  friend bool operator==(const ChunkRun&, const ChunkRun&) = default;
};

// One blob on its way in. Destroying it keeps what was verified for the next `begin`.
class BlobIngest {
 public:
  virtual ~BlobIngest() = default;
  [[nodiscard]] virtual const Digest& digest() const = 0;
  [[nodiscard]] virtual const ChunkIndex& index() const = 0;

  // Chunks still to be written, in order. Thread-safe.
  [[nodiscard]] virtual std::vector<ChunkRun> missing() const = 0;
  [[nodiscard]] virtual bool has_chunk(std::uint64_t chunk) const = 0;
  // Bytes of verified chunks, those of earlier attempts included. Thread-safe.
  [[nodiscard]] virtual std::uint64_t verified_bytes() const = 0;

  // Verifies and stores one whole chunk. kDigestMismatch leaves the ingest usable: fetch that chunk
  // again. A chunk that is there already is accepted and ignored. Blocks for the hash and the
  // write. Thread-safe for distinct chunks.
  virtual Result<void> write_chunk(std::uint64_t chunk, ByteView bytes) = 0;
  // One or two chunks; two are hashed at once. One result for each, in order.
  virtual std::vector<Result<void>> write_chunks(std::span<const ChunkIndex::Piece> pieces) = 0;

  // Keeps a copy of a whole chunk that arrived and waits for `write_chunks` where the death of this
  // process does not lose it; the next `begin` of the blob looks there. Returns the place, for
  // `release` once the chunk is stored or was wrong. A hint: what cannot be kept would be fetched
  // again. Thread-safe.
  virtual std::size_t shelter(ByteView bytes) = 0;
  virtual void release(std::size_t place) = 0;

  // Syncs, renames, commits: the blob is there for who names it with this chunk index.
  // kFailedPrecondition while chunks are missing. Call once.
  virtual Result<void> finish() = 0;

  // Forgets everything that was staged.
  virtual Result<void> discard() = 0;
};

struct RecoveryReport {
  std::uint64_t blobs = 0;            // present after recovery
  std::uint64_t adopted = 0;          // complete files whose record was missing
  std::uint64_t records_dropped = 0;  // records whose file was gone
  std::uint64_t deletions_finished = 0;
  std::uint64_t staged = 0;      // interrupted ingests that can be resumed
  std::uint64_t swept = 0;       // leftovers removed
  std::uint64_t unreadable = 0;  // blobs sealed with a key that was given up, removed
  std::vector<std::string> quarantined;
};

struct BlobStoreOptions {
  // Bytes that `begin` leaves free on the file system; kNoSpace below it.
  std::uint64_t reserve = 64ULL << 20U;
  // Null: the kernel's. Must outlive the store.
  FileVerity* verity = nullptr;
  // With a key the store reads sealed blobs; with `seal` it makes them, and otherwise plain ones.
  std::shared_ptr<const StoreKey> key;
  bool seal = false;
};

// How many blobs lie on the disk in which form.
struct StoreForms {
  std::uint64_t sealed = 0;
  std::uint64_t plain = 0;
};

class BlobStore {
 public:
  // Creates the folders under `root`, takes `root/lock` (kUnavailable if another process holds it)
  // and recovers from an earlier crash. All references must outlive the store.
  static Result<std::unique_ptr<BlobStore>> open(FileSystem& fs,
                                                 BlobRecords& records,
                                                 const Clock& clock,
                                                 const std::filesystem::path& root,
                                                 const BlobStoreOptions& options = {});
  ~BlobStore();
  BlobStore(const BlobStore&) = delete;
  BlobStore& operator=(const BlobStore&) = delete;

  // What `open` found and repaired.
  [[nodiscard]] const RecoveryReport& recovery() const;

  // All of the following are thread-safe and block for the disk.

  // True if there is a committed record, whatever was checked. Does not touch the file.
  Result<bool> contains(const Digest& digest);

  // True if there is a committed record whose check holds for this pair of digest and chunk index.
  Result<bool> holds(const WantedBlob& wanted);

  // kNotFound without a record; kDigestMismatch if the file was changed or was never that of
  // `digest` (it goes to quarantine and its record is dropped, so that it will be fetched again).
  // The first call for a blob that was checked against a chunk index hashes the whole file once.
  Result<OpenBlob> open_verified(const Digest& digest);

  // The same for a blob as its manifest names it: no bytes are read while the file is the one that
  // was checked against this very chunk index (or as a whole).
  Result<OpenBlob> open_verified(const WantedBlob& wanted);

  // Hashes the whole file whatever the record says; then as `open_verified`. With `before_read`,
  // which is told how many bytes come next, it may be slowed down, or stopped by its error; the
  // bytes come from the disk then, as far as the kernel lets go of its copies.
  using BeforeRead = std::function<Result<void>(std::size_t bytes)>;
  Result<OpenBlob> reverify(const Digest& digest, const BeforeRead& before_read = {});

  // The bytes of a blob, whatever was checked: for who checks them himself (a peer).
  Result<std::unique_ptr<File>> open_unverified(const Digest& digest);

  // Brings one blob that is not in the form that the store keeps now into it: copied and hashed,
  // durable in the new form before the old one goes. False if there is none left. A blob that is
  // not that of its name goes to quarantine. A crash leaves one of the two forms, whole. With
  // `before_read` it may be slowed down or stopped.
  Result<bool> convert_one(const BeforeRead& before_read = {});
  Result<StoreForms> forms();

  // Makes sure that a record counts for everyone: hashes the whole file if only a chunk index was
  // checked. False if the blob is not here, or was not that of its name and is in quarantine now.
  Result<bool> settle(const Digest& digest);

  // A whole blob of at most `limit` bytes, verified.
  Result<Bytes> read(const Digest& digest, std::size_t limit);

  // Starts or resumes. kAlreadyExists if the blob is here; kFailedPrecondition if another ingest of
  // it is open; kNoSpace if it does not fit beside the reserve. Chunks kept from an earlier attempt
  // are hashed again first, and those that had only arrived are looked for.
  Result<std::unique_ptr<BlobIngest>> begin(const Digest& digest, const ChunkIndex& index);

  // Stores small content (a chunk index, a manifest) at once. Content that is here already is fine.
  Result<Digest> put(ByteView content);

  struct IngestedFile {
    Digest digest;
    ChunkIndex index;
  };
  // Copies a local file of unknown digest in and stores its chunk index too: one thread reads and
  // hashes the whole, the others hash chunks and write. `expected`, if given, is the digest it must
  // have. A file that is here already is only hashed.
  Result<IngestedFile> ingest_file(const std::filesystem::path& source,
                                   std::uint32_t chunk_size = kDefaultChunkSize,
                                   std::optional<Digest> expected = std::nullopt);

  // Copies a local file in that a manifest names with its chunk index: every chunk is checked
  // against it and written, on all cores. kSizeMismatch, kDigestMismatch if it is another file;
  // nothing to do (and nothing is read) if the store holds that pair.
  Result<void> ingest_file(const std::filesystem::path& source,
                           const Digest& digest,
                           const ChunkIndex& index);

  // Moves a blob out of the way, for forensics; its record goes. `reason` is logged by the caller.
  Result<void> quarantine(const Digest& digest);

  // Two-phase: record becomes deleting, file is unlinked, record goes. kNotFound if unknown.
  Result<void> remove(const Digest& digest);

  // The second phase alone, for who made the first (`Catalogue::claim_for_deletion`). False, and
  // nothing is removed, if the blob is not being deleted any more: whoever wanted it meanwhile has
  // finished the removal, and may have stored it anew.
  Result<bool> remove_claimed(const Digest& digest);

  // Digests with an open or interrupted ingest.
  Result<std::vector<Digest>> in_flight();

  // Forgets an interrupted ingest; kFailedPrecondition while it is open.
  Result<void> discard_staged(const Digest& digest);

  // root/blobs/sha256/ab/<hex>, or <hex>.sealed there, as the store keeps it now.
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;

  // Opaque; named here for the parts of the implementation.
  struct Impl;

 private:
  explicit BlobStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::registry
