#pragma once

// The controller as witness of a device's audit log: it keeps the largest tree head that the device
// ever signed and notices a log that shrank or forked. A pure function; the session keeps its
// verdict. Consistency proofs between two heads are not in the protocol yet, so growth is believed.

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
};

// `current`: the device claims that this is its log's present head (its hello), so a smaller one
// means that the log was cut. Checkpoints that waited in an outbox may be older than the stored
// one.
WitnessVerdict judge_checkpoint(const std::string& device_id,
                                const std::optional<AuditWitnessRecord>& held,
                                const fleet::v1::AuditCheckpoint& checkpoint,
                                bool current,
                                std::int64_t now_ms);

}  // namespace skerry::controller
