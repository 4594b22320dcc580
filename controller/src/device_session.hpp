#pragma once

// One device's control channel without the network: messages in, messages out. It negotiates the
// protocol, stores reports and outbox records, and judges audit checkpoints. The gRPC reactor in
// device_service.cpp drives it on a strand; tests drive it directly. Not thread-safe; blocks on the
// store.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/random.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/fleet/v1/device.pb.h"

#include "audit_witness.hpp"
#include "director.hpp"

namespace skerry::controller {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::uint32_t kMinProtocolVersion = 1;
inline constexpr std::string_view kControllerVersion = "0.1.0";

// The protocol both sides speak: the lower of the two newest. kProtocolMismatch names both ranges
// and which side is to be updated.
Result<std::uint32_t> negotiate_protocol(std::uint32_t theirs, std::uint32_t their_minimum);

// Limits on what a device sends; more is kInvalidArgument or kTooLarge and ends the stream.
struct SessionLimits {
  static constexpr int kCapabilities = 64;
  static constexpr int kSlots = 256;
  static constexpr int kRecordsPerBatch = 4096;
  static constexpr std::size_t kInfoBytes = 16U << 10U;
  static constexpr std::size_t kReportBytes = 16U << 10U;
  static constexpr int kPointsPerChunk = 100'000;
  static constexpr int kSeriesPerChunk = 4096;
};

// How a session guards against copies of a device. Without `random` it hands out no nonces.
struct CloneGuard {
  Random* random = nullptr;
  // When the device's certificate begins.
  std::int64_t certificate_ms = 0;
  // Refuse a device that is suspected to exist twice, until an operator has looked.
  bool quarantine = false;
};

class DeviceSession {
 public:
  // `directs`: there is a director repository, which the hello says.
  DeviceSession(Store& store,
                const Clock& clock,
                Log log,
                std::string device_id,
                std::string tenant_id,
                bool directs = false,
                CloneGuard guard = {});

  struct Outcome {
    std::vector<fleet::v1::ControllerMessage> replies;
    // This was the hello: the caller attaches the connection and sends the desired state, in that
    // order, so that no change falls between.
    bool greeted = false;
    // A report changed what rollouts should look at.
    bool reports_changed = false;
    // Why the device is suspected to exist twice, if this message showed it; already in its record.
    std::string clone_finding;
    // End the stream with this, after the finding was dealt with.
    std::optional<Error> refusal;
    // The device is on its way to delete everything; already in its record.
    bool decommissioned = false;
    // Outbox records that were new to the store.
    std::uint64_t applied = 0;
  };
  // An error ends the stream with it.
  Result<Outcome> on_message(const fleet::v1::DeviceMessage& message);

  // A report that came by another way than a stream, its signature verified; of a session that is
  // not established. The same one twice changes nothing. A reply asks for the audit log's proof
  // where one is needed; `proof` may be null. kAuditCorrupt for one that proves nothing: it is not
  // signed, and so no evidence against the device. kFailedPrecondition for a part that skips one.
  Result<Outcome> take_report(const fleet::v1::StickReport& report,
                              const fleet::v1::AuditProof* proof);

  // The hello was accepted: desired state may be sent.
  [[nodiscard]] bool established() const { return protocol_ != 0; }
  [[nodiscard]] const std::string& device_id() const { return device_id_; }
  // What the hello said of the director: whether the device knows it, its newest version there, and
  // the machine.
  [[nodiscard]] bool takes_director() const { return takes_director_; }
  [[nodiscard]] std::int64_t director_version() const { return director_version_; }
  [[nodiscard]] std::int64_t director_root_version() const { return director_root_version_; }
  [[nodiscard]] DirectedDevice directed() const { return {device_id_, tenant_id_, machine_}; }

 private:
  Result<Outcome> on_hello(const fleet::v1::Hello& hello);
  Result<void> pass_generations(const fleet::v1::Hello& hello);
  Result<Outcome> on_report(const fleet::v1::SlotReport& report);
  Result<Outcome> on_outbox(const fleet::v1::OutboxBatch& batch);
  Result<OutboxEntry> to_entry(const fleet::v1::OutboxRecord& record) const;
  Result<SlotReportRecord> to_report(const fleet::v1::SlotReport& report) const;
  // Notes which certificate and nonce the device shows; a suspicion goes to `outcome`.
  Result<std::string> check_copy(const fleet::v1::Hello& hello, Outcome& outcome);
  Result<Outcome> on_nonce_stored(const fleet::v1::NonceStored& stored);
  Result<Outcome> on_decommission(const fleet::v1::DecommissionReceipt& receipt);
  Result<Outcome> on_audit_proof(const fleet::v1::AuditProof& proof);
  // Keeps the checkpoint, refuses it, or asks the device for a proof through `outcome`.
  Result<void> witness(const fleet::v1::AuditCheckpoint& checkpoint,
                       bool current,
                       Outcome& outcome);
  // Judges by the head that is held at this moment and keeps the verdict, in one step: a stream and
  // a report on a stick may bring checkpoints of one device at once.
  using Judge = std::function<WitnessVerdict(const std::optional<AuditWitnessRecord>& held)>;
  Result<WitnessVerdict> judge_held(const Judge& judge);
  // What a proof shows. Nothing if another head is held by now than it begins at: it is to be asked
  // for anew. `evidence`: a proof that fails is kept against the device.
  Result<std::optional<WitnessVerdict>> judge_proof(const fleet::v1::AuditCheckpoint& checkpoint,
                                                    const fleet::v1::AuditProof& proof,
                                                    bool evidence);
  Result<void> witness_anew(const fleet::v1::AuditCheckpoint& checkpoint, Outcome& outcome);
  void log_finding(const WitnessVerdict& verdict) const;
  // kFailedPrecondition if the part of a report before this one is missing.
  Result<void> follows(const fleet::v1::StickReport& report) const;

  Store& store_;
  const Clock& clock_;
  Log log_;
  std::string device_id_;
  std::string tenant_id_;
  CloneGuard guard_;
  std::uint32_t protocol_ = 0;
  // The device can prove that its audit log only grew.
  bool proves_growth_ = false;
  bool directs_;
  bool takes_director_ = false;
  std::int64_t director_version_ = 0;
  std::int64_t director_root_version_ = 0;
  std::string machine_;
  // The checkpoint that a proof was asked for, and the largest that came meanwhile.
  std::optional<fleet::v1::AuditCheckpoint> unproven_;
  std::optional<fleet::v1::AuditCheckpoint> next_unproven_;
};

// The desired state of a device as its message.
fleet::v1::ControllerMessage desired_message(const std::vector<DesiredSlotRecord>& slots);

}  // namespace skerry::controller
