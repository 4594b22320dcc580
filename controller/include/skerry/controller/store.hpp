#pragma once

// The controller's database, through SOCI: a SQLite file now, PostgreSQL later, so the SQL stays
// portable (no upserts by dialect, no binary columns) and all of it is in src/store/. Every
// operation is one durable transaction. The rest of the controller sees only records.
//
// Thread-safe; each call blocks (one connection, one writer). Failures are kDatabase, plus what the
// method says.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/controller/records.hpp"

namespace skerry::controller {

class Store {
 public:
  // Opens or creates the database and applies missing migrations, each in its own transaction.
  // kDatabase if it is newer than this program (a downgrade) or was made by another.
  static Result<std::unique_ptr<Store>> open(const std::string& backend,
                                             const std::string& connection);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] Result<std::int64_t> schema_version();

  // Enrolment.
  Result<void> add_token(const TokenRecord& token);
  Result<std::optional<TokenRecord>> find_token(const std::string& token_id);
  // Uses up the token and adds (or, for the same key, renews) the device with its certificate.
  // kEnrolmentRefused if the token was used meanwhile.
  Result<void> enrol(const std::string& token_id,
                     const DeviceRecord& device,
                     const CertificateRecord& certificate);
  Result<void> add_certificate(const CertificateRecord& certificate);
  // Another certificate for a device, for the key of `key_spki`, that begins at `begins_ms`: it is
  // never taken for older than one seen before. kNotFound also for a revoked device.
  Result<void> renew(const std::string& device_id,
                     const std::string& key_spki,
                     std::int64_t begins_ms,
                     const CertificateRecord& certificate);

  // Devices. An empty tenant or site matches all.
  Result<std::vector<DeviceRecord>> devices(const std::string& tenant, const std::string& site);
  Result<std::optional<DeviceRecord>> find_device(const std::string& device_id);
  // A hello: what the device is and speaks.
  Result<void> device_seen(const std::string& device_id,
                           std::int64_t now_ms,
                           std::int64_t protocol_version,
                           const std::string& info);
  // Reads, lets `change` work on it (from the zero record if there is none), and stores it, in one
  // transaction; an error of `change` leaves everything as it was. A device with `revoked_ms` or
  // `decommissioned_ms` counts as revoked. Returns what was stored.
  Result<DeviceLifeRecord> change_life(
      const std::string& device_id, const std::function<Result<void>(DeviceLifeRecord&)>& change);
  Result<DeviceLifeRecord> life(const std::string& device_id);
  // The device whose present key this is (SHA-256 of its SubjectPublicKeyInfo, hexadecimal).
  Result<std::optional<std::string>> device_with_key(const std::string& key_spki);
  // The next nonce of every device is taken as it comes: this store is older than they are.
  Result<void> reset_nonces();
  Result<void> touch_devices(const std::vector<std::string>& device_ids, std::int64_t now_ms);

  // Desired state and reports.
  Result<std::vector<DesiredSlotRecord>> desired(const std::string& device_id);
  // The same for many, with an entry (perhaps empty) for each.
  Result<std::map<std::string, std::vector<DesiredSlotRecord>>> desired_of(
      const std::vector<std::string>& device_ids);
  // Sets the slot with the next generation (above `at_least` too); returns it.
  Result<std::int64_t> set_desired(const DesiredSlotRecord& slot, std::int64_t at_least = 0);
  // What is added to the sum of a device's generations in its director versions; 0 if nothing was
  // set.
  Result<std::int64_t> director_floor(const std::string& device_id);
  Result<void> set_director_floor(const std::string& device_id, std::int64_t floor);
  // Keeps the newest report of the slot and, if it belongs to a rollout's offer, the device's
  // status in it. False: older than what is stored.
  Result<bool> apply_report(const SlotReportRecord& report);
  Result<std::vector<SlotReportRecord>> reports(const std::string& device_id);

  // Rollouts.
  Result<void> add_rollout(const RolloutRecord& rollout,
                           const std::vector<RolloutDeviceRecord>& devices);
  Result<std::optional<RolloutRecord>> find_rollout(const std::string& rollout_id);
  Result<std::vector<RolloutRecord>> rollouts(const std::string& tenant);
  // Those that are not final.
  Result<std::vector<RolloutRecord>> open_rollouts();
  Result<std::vector<RolloutDeviceRecord>> rollout_devices(const std::string& rollout_id);
  // Moves a rollout from `expected` to what `rollout` says; kFailedPrecondition if its state is
  // another by now.
  Result<void> update_rollout(const RolloutRecord& rollout, RolloutState expected);
  // The same, and offers the target to the devices of `rollout.wave`. Returns those devices.
  Result<std::vector<std::string>> start_wave(const RolloutRecord& rollout, RolloutState expected);
  // The same, and takes the offer back from devices that have not reported on it. Returns those.
  Result<std::vector<std::string>> end_rollout(const RolloutRecord& rollout, RolloutState expected);

  // The outbox: applies the records that are newer than the mark of their stream, in order, in one
  // transaction; older ones are counted as duplicates. A record that would leave a hole is refused
  // with kFailedPrecondition and nothing is applied.
  struct OutboxOutcome {
    std::vector<OutboxMark> marks;
    // Entries that were new.
    std::vector<std::size_t> applied;
  };
  Result<OutboxOutcome> apply_outbox(const std::string& device_id,
                                     const std::string& tenant,
                                     const std::vector<OutboxEntry>& entries);
  Result<std::vector<OutboxMark>> outbox_marks(const std::string& device_id);
  // Chunks that overlap [from, to], oldest first.
  Result<std::vector<TelemetryChunkRecord>> telemetry(const std::string& device_id,
                                                      std::int64_t from_ms,
                                                      std::int64_t to_ms,
                                                      std::size_t limit);
  // Drops chunks that ended before; the marks stay.
  Result<void> drop_telemetry(std::int64_t before_ms);

  // The audit witness.
  Result<std::optional<AuditWitnessRecord>> witness(const std::string& device_id);
  // Shows `judge` what is held of the device (nothing before the first checkpoint) and holds what
  // it answers instead (nothing: as before), in one transaction: of two that come at once the later
  // one is judged by what the earlier one left. An error of `judge` changes nothing. It must not
  // call the store.
  using WitnessJudge = std::function<Result<std::optional<AuditWitnessRecord>>(
      const std::optional<AuditWitnessRecord>& held)>;
  Result<void> change_witness(const std::string& device_id, const WitnessJudge& judge);

  // Models and trust metadata.
  Result<void> stage_manifest(const ManifestRecord& manifest);
  Result<std::optional<ManifestRecord>> find_manifest(const std::string& tenant,
                                                      const std::string& target);
  Result<std::vector<ManifestRecord>> manifests(const std::string& tenant);
  // Highest version of each role (and every root), or one file by its served name.
  Result<std::vector<MetadataRecord>> current_metadata(const std::string& tenant,
                                                       const std::string& repository);
  Result<std::optional<MetadataRecord>> find_metadata(const std::string& tenant,
                                                      const std::string& repository,
                                                      const std::string& name);
  // Stores the files and marks `published` targets, all or nothing. Names that exist are replaced
  // (timestamp.json).
  Result<void> publish_metadata(const std::string& tenant,
                                const std::vector<MetadataRecord>& files,
                                const std::vector<std::string>& published,
                                std::int64_t now_ms);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::controller
