// DeviceSession: the controller as witness of the device's audit log.

#include <utility>

#include "device_session.hpp"

namespace skerry::controller {

namespace pb = fleet::v1;

Result<void> DeviceSession::witness(const pb::AuditCheckpoint& checkpoint,
                                    bool current,
                                    Outcome& outcome) {
  const auto now = clock_.wall_now().time_since_epoch().count();
  const auto verdict = judge_held([&](const std::optional<AuditWitnessRecord>& held) {
    return judge_checkpoint(device_id_, held, checkpoint, current, now);
  });
  if (!verdict) {
    return verdict.error();
  }
  log_finding(*verdict);
  if (!verdict->needs_proof) {
    return {};
  }
  const AuditWitnessRecord& held = verdict->record;
  if (!proves_growth_) {
    // It keeps what it has: a log that grew unproven may as well have been rewritten.
    log_.warning("audit.growth_unproven",
                 {{"device", device_id_},
                  {"held", held.size},
                  {"offered", checkpoint.size()},
                  {"hint", "update the agent on the device"}});
    return {};
  }
  if (unproven_) {
    if (!next_unproven_ || next_unproven_->size() < checkpoint.size()) {
      next_unproven_ = checkpoint;
    }
    return {};
  }
  unproven_ = checkpoint;
  auto* request = outcome.replies.emplace_back().mutable_audit_proof();
  request->set_old_size(static_cast<std::uint64_t>(held.size));
  request->set_new_size(checkpoint.size());
  return {};
}

Result<WitnessVerdict> DeviceSession::judge_held(const Judge& judge) {
  WitnessVerdict verdict;
  const auto changed =
      store_.change_witness(device_id_,
                            [&](const std::optional<AuditWitnessRecord>& held)
                                -> Result<std::optional<AuditWitnessRecord>> {
                              verdict = judge(held);
                              return verdict.changed ? std::optional{verdict.record} : std::nullopt;
                            });
  if (!changed) {
    return changed.error();
  }
  return verdict;
}

Result<std::optional<WitnessVerdict>> DeviceSession::judge_proof(
    const pb::AuditCheckpoint& checkpoint, const pb::AuditProof& proof, bool evidence) {
  const auto now = clock_.wall_now().time_since_epoch().count();
  bool moved = false;
  auto verdict = judge_held([&](const std::optional<AuditWitnessRecord>& held) {
    moved = !held || static_cast<std::uint64_t>(held->size) != proof.old_size();
    if (moved) {
      return WitnessVerdict{};
    }
    WitnessVerdict grown = judge_growth(*held, checkpoint, proof, now);
    grown.changed = grown.changed && (evidence || grown.finding.empty());
    return grown;
  });
  if (!verdict) {
    return verdict.error();
  }
  return moved ? std::nullopt : std::optional{std::move(*verdict)};
}

void DeviceSession::log_finding(const WitnessVerdict& verdict) const {
  if (!verdict.finding.empty()) {
    log_.warning("audit.checkpoint_refused",
                 {{"device", device_id_}, {"finding", verdict.finding}});
  }
}

Result<DeviceSession::Outcome> DeviceSession::on_audit_proof(const pb::AuditProof& proof) {
  if (!unproven_ || proof.new_size() != unproven_->size()) {
    return Error{Error::Code::kFailedPrecondition, "an audit proof that was not asked for"};
  }
  const pb::AuditCheckpoint checkpoint = *std::exchange(unproven_, std::nullopt);
  Outcome outcome;
  const auto verdict = judge_proof(checkpoint, proof, true);
  if (!verdict) {
    return verdict.error();
  }
  if (*verdict) {
    log_finding(**verdict);
  } else if (auto again = witness(checkpoint, false, outcome); !again) {
    // Another connection of this device, or its stick, moved the head meanwhile.
    return again.error();
  }
  if (unproven_) {
    return outcome;
  }
  if (const auto next = std::exchange(next_unproven_, std::nullopt); next) {
    if (auto witnessed = witness(*next, false, outcome); !witnessed) {
      return witnessed.error();
    }
  }
  return outcome;
}

}  // namespace skerry::controller
