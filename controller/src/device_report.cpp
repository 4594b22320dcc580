// DeviceSession: reports that came on a stick.

#include <algorithm>

#include "device_session.hpp"

namespace skerry::controller {

namespace pb = fleet::v1;

// A part may not skip the one before it: its records would never be taken again, from nobody.
Result<void> DeviceSession::follows(const pb::StickReport& report) const {
  const auto marks = store_.outbox_marks(device_id_);
  if (!marks) {
    return marks.error();
  }
  for (const auto& before : report.after()) {
    const bool held = std::any_of(marks->begin(), marks->end(), [&](const OutboxMark& mark) {
      return mark.stream == before.first &&
             static_cast<std::uint64_t>(mark.highest_seq) >= before.second;
    });
    if (!held) {
      return Error{Error::Code::kFailedPrecondition,
                   "a part before this one is missing (" + before.first.substr(0, 32) +
                       " records up to " + std::to_string(before.second) +
                       "): hand in the whole report"};
    }
  }
  return {};
}

Result<DeviceSession::Outcome> DeviceSession::take_report(const pb::StickReport& report,
                                                          const pb::AuditProof* proof) {
  if (report.slots_size() > SessionLimits::kSlots) {
    return Error{Error::Code::kTooLarge, "a report has at most 256 slots"};
  }
  if (auto whole = follows(report); !whole) {
    return whole.error();
  }
  // The operator's program makes the proof from the log beside the report.
  proves_growth_ = true;
  pb::OutboxBatch batch;
  *batch.mutable_records() = report.records();
  auto outcome = on_outbox(batch);
  if (!outcome) {
    return outcome;
  }
  for (const auto& slot : report.slots()) {
    const auto applied = on_report(slot);
    if (!applied) {
      return applied.error();
    }
    outcome->reports_changed |= applied->reports_changed;
  }
  // Of records that were here before, too: the proof comes with the second attempt.
  const pb::AuditCheckpoint* newest = nullptr;
  for (const auto& record : report.records()) {
    if (record.has_audit() && (newest == nullptr || newest->size() < record.audit().size())) {
      newest = &record.audit();
    }
  }
  if (newest == nullptr) {
    return outcome;
  }
  if (auto witnessed = witness_anew(*newest, *outcome); !witnessed) {
    return witnessed.error();
  }
  if (!unproven_ || proof == nullptr || proof->new_size() != unproven_->size()) {
    return outcome;
  }
  const auto verdict = judge_proof(*newest, *proof, false);
  if (!verdict) {
    return verdict.error();
  }
  if (*verdict && !(**verdict).finding.empty()) {
    return Error{Error::Code::kAuditCorrupt,
                 (**verdict).finding + "; is the audit log beside the report the device's?"};
  }
  // What was proven needs no proof any more; where a stream of the device moved the head meanwhile,
  // another one.
  if (auto witnessed = witness_anew(*newest, *outcome); !witnessed) {
    return witnessed.error();
  }
  return outcome;
}

// Judges a checkpoint with what was asked for before forgotten.
Result<void> DeviceSession::witness_anew(const pb::AuditCheckpoint& checkpoint, Outcome& outcome) {
  std::erase_if(outcome.replies, [](const auto& reply) { return reply.has_audit_proof(); });
  unproven_.reset();
  next_unproven_.reset();
  return witness(checkpoint, false, outcome);
}

}  // namespace skerry::controller
