#pragma once

// Rows of the controller's store as plain values. Times are wall times in milliseconds since the
// epoch; protobuf messages are kept as their bytes. See store.hpp.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "skerry/controller/rollout.hpp"

namespace skerry::controller {

struct DeviceRecord {
  std::string device_id;
  std::string tenant_id;
  std::string site_id;
  std::string note;
  // skerry.fleet.v1.DeviceInfo.
  std::string info;
  std::int64_t enrolled_ms = 0;
  std::int64_t last_seen_ms = 0;
  std::int64_t protocol_version = 0;
  std::int64_t certificate_expires_ms = 0;
  std::string certificate_fingerprint;
  bool revoked = false;
};

// What becomes of a device after it enrolled. All zero and empty for an ordinary one.
struct DeviceLifeRecord {
  std::string device_id;
  // SHA-256 of the present key's SubjectPublicKeyInfo, hexadecimal; empty: the first key.
  std::string key_spki;
  // When the newest certificate begins that the device was seen with. Older ones are void.
  std::int64_t confirmed_ms = 0;

  // The nonce that the next hello should show and the one before it, hexadecimal (nonce_chain.hpp).
  std::string nonce;
  std::string previous_nonce;
  // Take whatever the next hello shows: after a restore, or when an operator says that all is well.
  bool nonce_reset = false;
  // Why the device is suspected to exist twice, when it was first seen and how often since.
  std::string clone_flag;
  std::int64_t clone_ms = 0;
  std::int64_t clone_count = 0;

  std::int64_t revoked_ms = 0;
  // Set by the controller itself (`identity.on_clone`), not by an operator.
  bool quarantined = false;
  std::string revoked_by;
  std::string revoke_reason;

  // The order to delete everything: when it was given, and when the device said that it obeys.
  std::string order_id;
  std::int64_t ordered_ms = 0;
  std::int64_t decommissioned_ms = 0;

  friend bool operator==(const DeviceLifeRecord&, const DeviceLifeRecord&) = default;
};

struct CertificateRecord {
  // SHA-256 of the DER form, hexadecimal.
  std::string fingerprint;
  std::string serial;
  // "device", "operator", "server".
  std::string kind;
  std::string subject;
  std::string tenant_id;
  std::int64_t issued_ms = 0;
  std::int64_t not_after_ms = 0;
};

struct TokenRecord {
  std::string token_id;
  // SHA-256 of the secret, hexadecimal; the secret itself is shown once and kept nowhere.
  std::string secret_hash;
  std::string tenant_id;
  std::string site_id;
  std::string note;
  std::string created_by;
  std::int64_t created_ms = 0;
  std::int64_t expires_ms = 0;
  // 0: not used.
  std::int64_t used_ms = 0;
  std::string used_by;
};

struct DesiredSlotRecord {
  std::string device_id;
  std::string slot;
  std::int64_t generation = 0;
  std::string target;
  std::string manifest_digest;
  std::string rollout_id;
  std::int64_t not_after_ms = 0;
};

struct SlotReportRecord {
  std::string device_id;
  std::string slot;
  std::int64_t generation = 0;
  std::int64_t at_ms = 0;
  // For the rollout that the report belongs to.
  std::string rollout_id;
  DeviceStatus status = DeviceStatus::kInstalling;
  std::string detail;
  // skerry.fleet.v1.SlotReport.
  std::string report;
};

struct RolloutRecord {
  std::string rollout_id;
  std::string tenant_id;
  std::string target;
  std::string manifest_digest;
  std::string slot;
  RolloutState state = RolloutState::kDraft;
  // What RESUME goes back to.
  RolloutState resume_state = RolloutState::kRunning;
  std::uint32_t wave = 0;
  std::uint32_t waves = 1;
  std::uint32_t canary_devices = 1;
  std::uint32_t max_failures = 1;
  std::uint32_t soak_seconds = 0;
  std::string note;
  std::string reason;
  std::string created_by;
  std::int64_t created_ms = 0;
  std::int64_t changed_ms = 0;
  // When the present state began.
  std::int64_t since_ms = 0;
};

struct RolloutDeviceRecord {
  std::string rollout_id;
  std::string device_id;
  std::uint32_t wave = 0;
  DeviceStatus status = DeviceStatus::kWaiting;
  std::string detail;
  // The generation that offered the target; 0 before.
  std::int64_t generation = 0;
  // What the slot should run if the offer is withdrawn.
  std::string previous_target;
  std::string previous_digest;
};

struct OutboxMark {
  std::string device_id;
  std::string stream;
  std::int64_t highest_seq = 0;
  std::int64_t records = 0;
  // Sequence numbers that the device dropped and said so.
  std::int64_t gap_records = 0;
  std::int64_t duplicates = 0;
};

struct TelemetryChunkRecord {
  std::int64_t seq = 0;
  std::int64_t start_ms = 0;
  std::int64_t end_ms = 0;
  std::int64_t points = 0;
  // skerry.fleet.v1.TelemetryChunk.
  std::string chunk;
};

// One record of a device's outbox, ready for the store.
struct OutboxEntry {
  enum class Kind { kTelemetry, kAudit, kGap, kReport };
  Kind kind = Kind::kTelemetry;
  std::string stream;
  std::int64_t seq = 0;
  // The last number that a gap covers; `seq` otherwise.
  std::int64_t last_seq = 0;
  TelemetryChunkRecord telemetry;
  SlotReportRecord report;
  // Position in the caller's list of checkpoints, which it judges after the commit.
  std::size_t index = 0;
};

struct AuditWitnessRecord {
  std::string device_id;
  std::int64_t size = 0;
  // Hexadecimal.
  std::string root;
  std::string note;
  // C2SP verifier key, pinned at first use; empty if the device never sent one.
  std::string verifier_key;
  // Empty: fine. Otherwise what was wrong and when it was first seen.
  std::string flag;
  std::int64_t at_ms = 0;
};

struct ManifestRecord {
  std::string target;
  std::string tenant_id;
  std::string digest;
  std::int64_t length = 0;
  std::int64_t release_counter = 0;
  bool published = false;
  std::string content;
  // Variant names, comma-separated.
  std::string variants;
  std::int64_t size_bytes = 0;
  std::int64_t at_ms = 0;
};

struct MetadataRecord {
  // "image".
  std::string repository;
  // As served: "2.root.json", "timestamp.json".
  std::string name;
  std::string role;
  std::int64_t version = 0;
  std::string content;
};

}  // namespace skerry::controller
