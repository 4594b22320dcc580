#pragma once

// The controller as witness of a device's audit log: it keeps the largest tree head that the device
// signed and proved to continue the one before (RFC 6962 §2.1.2), and notices a log that shrank or
// forked. Pure functions; the session asks for proofs and keeps the verdicts.

#include <cstdint>
#include <optional>
#include <string>

#include "skerry/controller/records.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::controller {

struct WitnessVerdict {
  // What to store now.
  AuditWitnessRecord record;
  // Something to store; false for an old checkpoint that says nothing new.
  bool changed = false;
  // Not empty when this checkpoint itself was refused.
  std::string finding;
  // The checkpoint is in order and its log is longer than what is held: `judge_growth` decides.
  bool needs_proof = false;
};

// `current`: the device claims that this is its log's present head (its hello), so a smaller one
// means that the log was cut. Checkpoints that waited in an outbox may be older than the stored
// one.
WitnessVerdict judge_checkpoint(const std::string& device_id,
                                const std::optional<AuditWitnessRecord>& held,
                                const fleet::v1::AuditCheckpoint& checkpoint,
                                bool current,
                                std::int64_t now_ms);

// A longer log's checkpoint (that `judge_checkpoint` found in order) with the device's proof. A
// refusal names the two trees: both are signed by the device, so either is evidence against it.
WitnessVerdict judge_growth(const AuditWitnessRecord& held,
                            const fleet::v1::AuditCheckpoint& checkpoint,
                            const fleet::v1::AuditProof& proof,
                            std::int64_t now_ms);

}  // namespace skerry::controller
