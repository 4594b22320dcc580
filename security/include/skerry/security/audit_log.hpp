#pragma once

// The device's tamper-evident log: canonical-JSON records in append-only segment files, an RFC 6962
// tree over them and signed checkpoints between them (docs/formats/audit.md). The daemon owns one;
// gRPC threads append. Verification is apart (audit_verify.hpp) and needs only the public key.
//
// Thread-safe. `append` of a durable record blocks for one fsync; a grouped one for a write.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/audit_record.hpp"
#include "skerry/security/checkpoint.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::security {

struct AuditOptions {
  std::filesystem::path directory;
  // The log's name in checkpoints; also the signer's. Usually "skerry.audit/<device id>".
  std::string origin;
  std::string device_id;
  std::string tenant;
  // A grouped record is sealed after at most this many of them or this long, whichever is first
  // (`tick` must be called for the time).
  std::uint64_t checkpoint_records = 256;
  std::chrono::milliseconds checkpoint_interval{5000};
  // A new segment is begun beyond this size.
  std::uint64_t segment_bytes = 4U << 20U;
  // Asked for each record; unattested when absent.
  std::function<TimeQuality()> time_quality;
};

struct AuditReceipt {
  std::uint64_t seq = 0;
  // False only for a grouped record that could not be written: it is counted, and the count is
  // recorded when writing works again.
  bool recorded = true;
};

struct AuditEntry {
  std::uint64_t seq = 0;
  // The canonical JSON, exactly as hashed.
  std::string record;
};

struct AuditStatus {
  std::uint64_t size = 0;
  std::uint64_t sealed = 0;
  // Grouped records that could not be written since the log was opened.
  std::uint64_t lost = 0;
  // Bytes of a torn record found and set aside when the log was opened.
  std::uint64_t recovered_bytes = 0;
  bool writable = true;
};

class AuditLog {
 public:
  // Creates or opens the log. A torn tail is copied to `torn-<seq>-<offset>`, cut off, and
  // recorded. kAuditCorrupt if the last segment does not lead to its signed checkpoints: nothing is
  // changed then. `fs`, `key` and `clock` must outlive the log (`key` is shared).
  static Result<std::unique_ptr<AuditLog>> open(FileSystem& fs,
                                                AuditOptions options,
                                                std::shared_ptr<const Signer> key,
                                                const Clock& clock);
  // Seals what is open, best effort.
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Durable records fail closed: on an error the caller must not do what it meant to. Grouped ones
  // succeed with `recorded == false` when the disk refuses; an invalid event is an error in both.
  Result<AuditReceipt> append(const AuditEvent& event);
  // Seals everything appended so far with a checkpoint and syncs it.
  Result<void> flush();
  // Call it about once a second: seals when the interval has passed. Cheap otherwise.
  Result<void> tick();

  [[nodiscard]] AuditStatus status() const;
  // The last sealed tree head and its note (with signatures).
  [[nodiscard]] Checkpoint checkpoint() const;
  [[nodiscard]] std::string checkpoint_note() const;
  // The C2SP verifier key that checks the notes: what a witness pins.
  [[nodiscard]] std::string verifier_key() const;

  // Up to `max` records from `from_seq` on, in order; unsealed ones too.
  [[nodiscard]] Result<std::vector<AuditEntry>> read(std::uint64_t from_seq, std::size_t max) const;

  // Proofs against sealed sizes; they read the segments, so not for hot paths. kInvalidArgument
  // beyond the sealed size.
  [[nodiscard]] Result<std::vector<Digest>> prove_inclusion(std::uint64_t seq,
                                                            std::uint64_t size) const;
  [[nodiscard]] Result<std::vector<Digest>> prove_consistency(std::uint64_t old_size,
                                                              std::uint64_t new_size) const;

  [[nodiscard]] const AuditOptions& options() const;

 private:
  class Impl;
  explicit AuditLog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::security
