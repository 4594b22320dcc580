#pragma once

// The registry's memory, in SQLite: what was verified, which blobs are here, what each slot runs,
// what happened. The COMMIT of `activate` is the activation; nothing else makes a model live. The
// agent owns one; `metadata_store.hpp` lets the TUF client use the same file.
//
// Thread-safe (one internal lock). Every call is one transaction, durable when it returns; an error
// means that nothing changed.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/id.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_records.hpp"
#include "skerry/registry/imported_model.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/registry/slot.hpp"

namespace skerry::sqlite {
class Database;
}

namespace skerry::registry {

// A manifest whose signature chain was verified, and how.
struct VerifiedManifest {
  Digest digest;  // of `bytes`
  std::string bytes;
  Manifest manifest;
  std::string target_path;
  std::string repository = "image";  // the TUF repository that vouches for it; "import": none does
  std::uint64_t targets_version = 0;
  WallTime verified_at{};
  std::optional<WallTime> not_after;
  TenantId tenant;
};

// One line of a list: what is known of a manifest without reading it.
struct ModelSummary {
  Digest digest;
  ModelName model;
  std::string version;
  std::uint64_t release_counter = 0;

  friend bool operator==(const ModelSummary&, const ModelSummary&) = default;
};

struct BlobReference {
  Digest blob;
  std::string why;  // "active in slot default (acme/log-triage 1.2.0 q4_k_m)"
};

struct CatalogueOptions {
  // Name of a registered SQLite VFS; tests inject faults by it.
  std::string vfs;
};

class Catalogue final : public BlobRecords {
 public:
  // Opens or creates `path` and migrates it. `clock` dates the rows and must outlive the catalogue.
  static Result<std::unique_ptr<Catalogue>> open(const std::filesystem::path& path,
                                                 const Clock& clock,
                                                 const CatalogueOptions& options = {});
  ~Catalogue() override;
  Catalogue(const Catalogue&) = delete;
  Catalogue& operator=(const Catalogue&) = delete;

  // Blobs.
  Result<std::optional<BlobRecord>> find_blob(const Digest& digest) override;
  Result<void> put_blob(const BlobRecord& record) override;
  Result<void> erase_blob(const Digest& digest) override;
  Result<std::vector<BlobRecord>> list_blobs() override;

  // Manifests.

  // Call only with a manifest that TUF verified. Recording the same digest again refreshes the
  // evidence. kDigestMismatch if `digest` is not that of `bytes`, kManifestInvalid if they do not
  // parse, kAlreadyExists if the same model and version is known with other bytes.
  Result<void> record_manifest(std::string_view bytes,
                               const Digest& digest,
                               std::string_view repository,
                               std::uint64_t targets_version,
                               std::optional<WallTime> not_after = std::nullopt,
                               const TenantId& tenant = TenantId{});
  // kNotFound if it was never verified.
  Result<VerifiedManifest> manifest(const Digest& digest);
  Result<VerifiedManifest> manifest(const ModelName& model, const SemanticVersion& version);
  // Newest release counter first within a model. Reads and parses every manifest.
  Result<std::vector<VerifiedManifest>> list_manifests();
  // The same order, from an index alone: at most `limit` after the model and counter of `after`.
  Result<std::vector<ModelSummary>> list_models(
      std::size_t limit, const std::optional<ModelSummary>& after = std::nullopt);
  // kFailedPrecondition while a slot, a pin or the desired state refers to it.
  Result<void> forget_manifest(const Digest& digest);

  // Imported models (catalogue_imports.cpp).

  // Records a manifest that no repository signed, with where it came from, and pins its blobs. The
  // same manifest again is fine and changes nothing. kAlreadyExists as for `record_manifest`.
  Result<void> record_import(std::string_view bytes, const ImportedModel& origin);
  // In order of model and version. A model that a repository signed meanwhile is listed too.
  Result<std::vector<ImportedModel>> list_imports();
  // kNotFound if that manifest was not imported.
  Result<ImportedModel> find_import(const Digest& manifest);
  // From here on it may be activated. A second vouch by the same `who` replaces a revoked one and
  // leaves a standing one as it is. kNotFound.
  Result<void> vouch(const Digest& manifest, const Vouch& vouch);
  // Ends every standing vouch. What runs goes on; neither an activation nor a rollback makes it
  // live again. kNotFound; kFailedPrecondition if nobody vouches.
  Result<void> revoke_vouch(const Digest& manifest, std::string_view who, std::string_view reason);
  // Forgets it and unpins its blobs. kNotFound; kFailedPrecondition while a slot uses it.
  Result<void> remove_import(const Digest& manifest);

  // Slots.

  // Makes a variant live in `request.slot`: the committed generation becomes previous, the new
  // one is on trial (or active at once without probation). Checks, in the same transaction: the
  // manifest was verified, an imported one is vouched for, every file of the variant is present,
  // the digest is not known bad, the generation grows, the release counter does not go back.
  // kNotFound, kFailedPrecondition, kQuarantined, kRollback.
  Result<Slot> activate(const ActivationRequest& request);

  // Ends the trial well: raises the model's release counter. kFailedPrecondition if `generation` is
  // not on trial there.
  Result<Slot> commit_probation(const SlotName& slot, std::uint64_t generation);

  // Makes the previous generation active again. With `mark_bad` the one that was live is remembered
  // as bad; what is bad or on trial is not kept, otherwise the two change places, so that a second
  // rollback undoes the first. Without a previous one and with `mark_bad` the slot becomes empty;
  // kFailedPrecondition otherwise. A previous import that nobody vouches for any more counts as
  // none, and so does `barred`, which the caller may not let back; kFailedPrecondition says so
  // without `mark_bad`.
  Result<Slot> rollback(const SlotName& slot,
                        std::string_view reason,
                        bool mark_bad,
                        const std::optional<Digest>& barred = std::nullopt);

  // Stops serving there; what was live stays as previous.
  Result<Slot> deactivate(const SlotName& slot, std::string_view reason);

  // kNotFound for a slot that was never used.
  Result<Slot> slot(const SlotName& slot);
  Result<std::vector<Slot>> list_slots();

  // Changes after `sequence`, oldest first: the agent turns each into a report exactly once by
  // keeping the last sequence it sent.
  Result<std::vector<SlotChange>> changes_after(std::uint64_t sequence, std::size_t limit);

  // Counts a start of the trial generation's worker and returns the new count; at boot the agent
  // reverts a trial that was started too often. kFailedPrecondition without a trial.
  Result<std::uint32_t> count_trial_start(const SlotName& slot);

  // Desired state.

  // Replaces the slot's wish; a generation lower than the stored one is kRollback.
  Result<void> set_desired(const DesiredSlot& desired);
  Result<std::vector<DesiredSlot>> list_desired();
  Result<void> clear_desired(const SlotName& slot);

  // Activation journal.

  // The activation machine writes each state before its side effect. Returns the row's sequence.
  Result<std::uint64_t> journal(const ActivationStep& step);
  Result<std::optional<ActivationStep>> last_step(const SlotName& slot);
  // Rows after `sequence`, oldest first.
  Result<std::vector<ActivationStep>> steps_after(std::uint64_t sequence, std::size_t limit);
  // Keeps the newest `keep` rows of each slot.
  Result<void> trim_journal(std::size_t keep);

  // Known bad.

  // `variant` empty: the whole manifest.
  Result<void> mark_bad(const Digest& manifest, std::string_view variant, std::string_view reason);
  Result<void> forgive(const Digest& manifest, std::string_view variant);
  Result<std::optional<std::string>> bad_reason(const Digest& manifest, std::string_view variant);
  Result<std::vector<KnownBad>> list_bad();

  // Pins.
  Result<void> pin(const Digest& manifest, std::string_view variant, std::string_view reason);
  Result<void> unpin(const Digest& manifest, std::string_view variant);
  Result<std::vector<Pin>> list_pins();

  // Garbage collection.

  // Every blob that a slot, a pin or the desired state needs, with the reason in words. A blob
  // may appear several times.
  Result<std::vector<BlobReference>> references();
  // True if some verified manifest names the blob, as a file or as a chunk index.
  Result<bool> names_blob(const Digest& blob);
  // When each blob was last part of what a slot ran, from the record of changes; blobs that never
  // were are left out.
  Result<std::map<Digest, WallTime>> last_used();
  // Marks the blob as deleting unless something refers to it by now; false then, or if it is
  // unknown.
  Result<bool> claim_for_deletion(const Digest& blob);

  // Counters and floors.

  // The highest release counter that was committed for `model`; 0 if none.
  Result<std::uint64_t> release_counter(const ModelName& model);
  // A named value that never goes back: raises it to `value` and returns what is stored then.
  Result<std::uint64_t> raise_floor(std::string_view name, std::uint64_t value);
  Result<std::uint64_t> floor(std::string_view name);

  // For reports: user_version of the schema, and SQLite's own check of the file.
  Result<std::int64_t> schema_version();
  Result<void> check_integrity();

  // The time that rows are dated with.
  [[nodiscard]] WallTime now() const;

  // For stores that share this file (metadata_store.hpp): runs `work` under the lock.
  Result<void> with_database(const std::function<Result<void>(sqlite::Database&)>& work);

  // Opaque; named here for the parts of the implementation.
  struct Impl;

 private:
  explicit Catalogue(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::registry
