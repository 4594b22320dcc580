#include "device_session.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/id.hpp"

#include "nonce_chain.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;

Error invalid(std::string message) {
  return Error{Error::Code::kInvalidArgument, std::move(message)};
}

std::string range_of(std::uint32_t lowest, std::uint32_t newest) {
  return lowest == newest ? std::to_string(newest)
                          : std::to_string(lowest) + " to " + std::to_string(newest);
}

// Bounds the numbers that the store keeps as signed.
Result<std::int64_t> to_signed(std::uint64_t value, std::string_view what) {
  if (value > (1ULL << 62U)) {
    return invalid(std::string{what} + " is out of range");
  }
  return static_cast<std::int64_t>(value);
}

Result<TelemetryChunkRecord> to_chunk(const pb::TelemetryChunk& chunk, std::int64_t seq) {
  if (chunk.offset_ms_size() > SessionLimits::kPointsPerChunk ||
      chunk.series_size() > SessionLimits::kSeriesPerChunk) {
    return Error{Error::Code::kTooLarge,
                 "a telemetry chunk has at most 100000 times and 4096 series"};
  }
  TelemetryChunkRecord record;
  record.seq = seq;
  for (const auto& series : chunk.series()) {
    if (series.values_size() != chunk.offset_ms_size()) {
      return invalid("telemetry series \"" + series.name().substr(0, 80) + "\" has " +
                     std::to_string(series.values_size()) + " values for " +
                     std::to_string(chunk.offset_ms_size()) + " times");
    }
    record.points += series.values_size();
  }
  const auto start = to_signed(chunk.start_unix_ms(), "a telemetry chunk's start");
  if (!start) {
    return start.error();
  }
  record.start_ms = *start;
  record.end_ms = *start;
  for (const auto offset : chunk.offset_ms()) {
    record.end_ms = std::max<std::int64_t>(record.end_ms, *start + offset);
  }
  record.chunk = chunk.SerializeAsString();
  return record;
}

constexpr std::string_view kAuditConsistency = "audit_consistency";
constexpr std::string_view kSyncNonce = "sync_nonce";
constexpr std::size_t kNonceBytes = 16;
constexpr std::size_t kMaxNonce = 64;

bool known_stream(std::string_view stream) {
  return stream == "telemetry" || stream == "audit" || stream == "events";
}

}  // namespace

Result<std::uint32_t> negotiate_protocol(std::uint32_t theirs, std::uint32_t their_minimum) {
  const std::uint32_t common = std::min(theirs, kProtocolVersion);
  if (theirs != 0 && common >= kMinProtocolVersion && common >= their_minimum) {
    return common;
  }
  const std::string side =
      theirs < kMinProtocolVersion ? "update the agent on the device" : "update the controller";
  return Error{Error::Code::kProtocolMismatch,
               "the device speaks protocol " + range_of(their_minimum, theirs) +
                   ", this controller (" + std::string{kControllerVersion} + ") speaks " +
                   range_of(kMinProtocolVersion, kProtocolVersion) + ": " + side};
}

DeviceSession::DeviceSession(Store& store,
                             const Clock& clock,
                             Log log,
                             std::string device_id,
                             std::string tenant_id,
                             bool directs,
                             CloneGuard guard)
    : store_(store),
      clock_(clock),
      log_(std::move(log)),
      device_id_(std::move(device_id)),
      tenant_id_(std::move(tenant_id)),
      guard_(guard),
      directs_(directs) {}

Result<DeviceSession::Outcome> DeviceSession::on_message(const pb::DeviceMessage& message) {
  if (!established() && message.message_case() != pb::DeviceMessage::kHello) {
    return Error{Error::Code::kFailedPrecondition, "the first message must be a hello"};
  }
  switch (message.message_case()) {
    case pb::DeviceMessage::kHello:
      if (established()) {
        return Error{Error::Code::kFailedPrecondition, "a second hello on one stream"};
      }
      return on_hello(message.hello());
    case pb::DeviceMessage::kReport:
      return on_report(message.report());
    case pb::DeviceMessage::kOutbox:
      return on_outbox(message.outbox());
    case pb::DeviceMessage::kAuditProof:
      return on_audit_proof(message.audit_proof());
    case pb::DeviceMessage::kNonceStored:
      return on_nonce_stored(message.nonce_stored());
    case pb::DeviceMessage::kDecommission:
      return on_decommission(message.decommission());
    case pb::DeviceMessage::kHeartbeat: {
      Outcome outcome;
      outcome.replies.emplace_back().mutable_heartbeat()->set_wall_time_unix_ms(
          static_cast<std::uint64_t>(clock_.wall_now().time_since_epoch().count()));
      return outcome;
    }
    default:
      // A message of a newer protocol: the capabilities said that we do not know it.
      return Outcome{};
  }
}

// After a restored store the generations must pass what the device has already seen.
Result<void> DeviceSession::pass_generations(const pb::Hello& hello) {
  const auto desired = store_.desired(device_id_);
  if (!desired) {
    return desired.error();
  }
  for (const auto& slot : *desired) {
    const auto seen = hello.generations().find(slot.slot);
    if (seen == hello.generations().end()) {
      continue;
    }
    const auto generation = to_signed(seen->second, "a generation");
    if (!generation) {
      return generation.error();
    }
    if (*generation <= slot.generation) {
      continue;
    }
    if (auto raised = store_.set_desired(slot, *generation); !raised) {
      return raised.error();
    }
  }
  return {};
}

Result<DeviceSession::Outcome> DeviceSession::on_hello(const pb::Hello& hello) {
  const auto protocol = negotiate_protocol(hello.protocol_version(), hello.min_protocol_version());
  if (!protocol) {
    return protocol.error();
  }
  if (hello.capabilities_size() > SessionLimits::kCapabilities ||
      hello.generations_size() > SessionLimits::kSlots ||
      hello.info().ByteSizeLong() > SessionLimits::kInfoBytes) {
    return Error{Error::Code::kTooLarge,
                 "a hello has at most 64 capabilities, 256 slots and 16 KiB of device description"};
  }
  const auto now = clock_.wall_now().time_since_epoch().count();
  if (auto seen = store_.device_seen(device_id_, now, *protocol, hello.info().SerializeAsString());
      !seen) {
    return seen.error();
  }
  Outcome outcome;
  const auto nonce = check_copy(hello, outcome);
  if (!nonce) {
    return nonce.error();
  }
  if (outcome.refusal) {
    return outcome;
  }
  const auto has = [&](std::string_view capability) {
    return std::find(hello.capabilities().begin(), hello.capabilities().end(), capability) !=
           hello.capabilities().end();
  };
  const auto directed = to_signed(hello.director_version(), "a director version");
  const auto root = to_signed(hello.director_root_version(), "a director root version");
  if (!directed || !root) {
    return directed ? root.error() : directed.error();
  }
  proves_growth_ = has(kAuditConsistency);
  takes_director_ = has(Director::kRepository);
  director_version_ = *directed;
  director_root_version_ = *root;
  machine_ = hello.info().machine();
  if (auto raised = pass_generations(hello); !raised) {
    return raised.error();
  }
  const auto marks = store_.outbox_marks(device_id_);
  if (!marks) {
    return marks.error();
  }
  auto* answer = outcome.replies.emplace_back().mutable_hello();
  answer->add_capabilities(std::string{kAuditConsistency});
  if (directs_) {
    answer->add_capabilities(std::string{Director::kRepository});
  }
  if (!nonce->empty()) {
    answer->add_capabilities(std::string{kSyncNonce});
    answer->set_sync_nonce(*nonce);
  }
  answer->set_protocol_version(kProtocolVersion);
  answer->set_min_protocol_version(kMinProtocolVersion);
  answer->set_wall_time_unix_ms(static_cast<std::uint64_t>(now));
  answer->set_controller_version(std::string{kControllerVersion});
  for (const auto& mark : *marks) {
    (*answer->mutable_acknowledged())[mark.stream] = static_cast<std::uint64_t>(mark.highest_seq);
  }
  if (hello.has_audit()) {
    if (auto witnessed = witness(hello.audit(), true, outcome); !witnessed) {
      return witnessed.error();
    }
  }
  protocol_ = *protocol;
  outcome.greeted = true;
  return outcome;
}

Result<std::string> DeviceSession::check_copy(const pb::Hello& hello, Outcome& outcome) {
  if (guard_.random == nullptr) {
    return std::string{};
  }
  if (hello.sync_nonce().size() > kMaxNonce) {
    return Error{Error::Code::kTooLarge, "a sync nonce has at most 64 bytes"};
  }
  const bool knows =
      std::find(hello.capabilities().begin(), hello.capabilities().end(), kSyncNonce) !=
      hello.capabilities().end();
  const std::string shown = to_hex(as_bytes(hello.sync_nonce()));
  const std::string fresh = guard_.random->hex(kNonceBytes);
  const auto now = clock_.wall_now().time_since_epoch().count();
  const auto life = store_.change_life(device_id_, [&](DeviceLifeRecord& record) {
    const bool told_to = record.nonce_reset;
    std::string finding = finding_of(take_nonce(record, knows, shown, fresh));
    if (finding.empty() && guard_.certificate_ms < record.confirmed_ms && !told_to) {
      finding =
          "it uses a certificate that was already replaced by a newer one: an old copy of its "
          "disk";
    }
    record.confirmed_ms =
        told_to ? guard_.certificate_ms : std::max(record.confirmed_ms, guard_.certificate_ms);
    if (!finding.empty()) {
      record.clone_flag = finding;
      record.clone_ms = record.clone_ms == 0 ? now : record.clone_ms;
      ++record.clone_count;
      if (guard_.quarantine && record.revoked_ms == 0) {
        record.revoked_ms = now;
        record.quarantined = true;
        record.revoked_by = "controller";
        record.revoke_reason = finding;
      }
    }
    outcome.clone_finding = std::move(finding);
    return Result<void>{};
  });
  if (!life) {
    return life.error();
  }
  if (!outcome.clone_finding.empty() && guard_.quarantine) {
    outcome.refusal = Error{
        Error::Code::kPermissionDenied,
        device_id_ + " is in quarantine until an operator reinstates it: " + outcome.clone_finding};
  }
  if (!knows) {
    return std::string{};
  }
  const auto raw = from_hex(fresh);
  return std::string{as_text(*raw)};
}

Result<DeviceSession::Outcome> DeviceSession::on_nonce_stored(const pb::NonceStored& stored) {
  const std::string nonce = to_hex(as_bytes(std::string_view{stored.nonce()}.substr(0, kMaxNonce)));
  const auto life = store_.change_life(device_id_, [&](DeviceLifeRecord& record) {
    if (!confirm_nonce(record, nonce)) {
      log_.warning("device.nonce_overtaken", {{"device", device_id_}});
    }
    return Result<void>{};
  });
  if (!life) {
    return life.error();
  }
  return Outcome{};
}

Result<DeviceSession::Outcome> DeviceSession::on_decommission(
    const pb::DecommissionReceipt& receipt) {
  Outcome outcome;
  const auto now = clock_.wall_now().time_since_epoch().count();
  const auto life = store_.change_life(device_id_, [&](DeviceLifeRecord& record) -> Result<void> {
    // Without an order it was ended by somebody at the device itself.
    if (!record.order_id.empty() && record.order_id != receipt.order_id()) {
      return Error{Error::Code::kFailedPrecondition, "a receipt for another order to decommission"};
    }
    record.order_id = receipt.order_id().substr(0, 128);
    record.decommissioned_ms = now;
    return {};
  });
  if (!life) {
    return life.error();
  }
  outcome.decommissioned = true;
  return outcome;
}

Result<SlotReportRecord> DeviceSession::to_report(const pb::SlotReport& report) const {
  if (report.ByteSizeLong() > SessionLimits::kReportBytes) {
    return Error{Error::Code::kTooLarge, "a slot report has at most 16 KiB"};
  }
  if (auto named = check_name(report.slot(), "slot"); !named) {
    return named.error();
  }
  const auto generation = to_signed(report.generation(), "a generation");
  const auto at = to_signed(report.at_unix_ms(), "a report's time");
  if (!generation || !at) {
    return generation ? at.error() : generation.error();
  }
  SlotReportRecord record;
  record.device_id = device_id_;
  record.slot = report.slot();
  record.generation = *generation;
  record.at_ms = *at;
  record.rollout_id = report.rollout_id();
  record.status = status_of_report(report.state());
  record.detail = report.state();
  if (!report.reason_code().empty() || !report.reason().empty()) {
    record.detail += ": " + report.reason_code() +
                     (report.reason_code().empty() || report.reason().empty() ? "" : ": ") +
                     report.reason();
  }
  record.report = report.SerializeAsString();
  return record;
}

Result<DeviceSession::Outcome> DeviceSession::on_report(const pb::SlotReport& report) {
  const auto record = to_report(report);
  if (!record) {
    return record.error();
  }
  const auto applied = store_.apply_report(*record);
  if (!applied) {
    return applied.error();
  }
  Outcome outcome;
  outcome.reports_changed = *applied;
  return outcome;
}

Result<OutboxEntry> DeviceSession::to_entry(const pb::OutboxRecord& record) const {
  if (!known_stream(record.stream())) {
    return invalid("there is no outbox stream \"" + record.stream().substr(0, 80) +
                   "\"; known are telemetry, audit and events");
  }
  const auto seq = to_signed(record.seq(), "a sequence number");
  if (!seq || *seq == 0) {
    return invalid("outbox sequence numbers begin at 1");
  }
  OutboxEntry entry;
  entry.stream = record.stream();
  entry.seq = *seq;
  entry.last_seq = *seq;
  switch (record.body_case()) {
    case pb::OutboxRecord::kTelemetry: {
      auto chunk = to_chunk(record.telemetry(), *seq);
      if (!chunk) {
        return chunk.error();
      }
      entry.kind = OutboxEntry::Kind::kTelemetry;
      entry.telemetry = std::move(*chunk);
      return entry;
    }
    case pb::OutboxRecord::kAudit:
      entry.kind = OutboxEntry::Kind::kAudit;
      return entry;
    case pb::OutboxRecord::kGap: {
      const auto first = to_signed(record.gap().first_seq(), "a gap's first number");
      const auto last = to_signed(record.gap().last_seq(), "a gap's last number");
      if (!first || !last || *first == 0 || *last < *first) {
        return invalid("a gap record must cover at least one sequence number");
      }
      entry.kind = OutboxEntry::Kind::kGap;
      entry.seq = *first;
      entry.last_seq = *last;
      return entry;
    }
    case pb::OutboxRecord::kReport: {
      auto report = to_report(record.report());
      if (!report) {
        return report.error();
      }
      entry.kind = OutboxEntry::Kind::kReport;
      entry.report = std::move(*report);
      return entry;
    }
    default:
      return invalid("outbox record " + std::to_string(*seq) + " of " + record.stream() +
                     " has no body that this controller knows");
  }
}

Result<DeviceSession::Outcome> DeviceSession::on_outbox(const pb::OutboxBatch& batch) {
  if (batch.records_size() > SessionLimits::kRecordsPerBatch) {
    return Error{Error::Code::kTooLarge, "an outbox batch has at most 4096 records"};
  }
  std::vector<OutboxEntry> entries;
  entries.reserve(static_cast<std::size_t>(batch.records_size()));
  for (const auto& record : batch.records()) {
    auto entry = to_entry(record);
    if (!entry) {
      return entry.error();
    }
    entries.push_back(std::move(*entry));
  }
  const auto applied = store_.apply_outbox(device_id_, tenant_id_, entries);
  if (!applied) {
    return applied.error();
  }
  Outcome outcome;
  outcome.applied = applied->applied.size();
  auto* ack = outcome.replies.emplace_back().mutable_ack();
  for (const auto& mark : applied->marks) {
    (*ack->mutable_acknowledged())[mark.stream] = static_cast<std::uint64_t>(mark.highest_seq);
  }
  for (const std::size_t index : applied->applied) {
    const auto& record = batch.records(static_cast<int>(index));
    outcome.reports_changed |= record.has_report();
    if (record.has_audit()) {
      if (auto witnessed = witness(record.audit(), false, outcome); !witnessed) {
        return witnessed.error();
      }
    }
  }
  return outcome;
}

pb::ControllerMessage desired_message(const std::vector<DesiredSlotRecord>& slots) {
  pb::ControllerMessage message;
  auto* desired = message.mutable_desired();
  for (const auto& slot : slots) {
    auto* out = desired->add_slots();
    out->set_slot(slot.slot);
    out->set_generation(static_cast<std::uint64_t>(slot.generation));
    out->set_target(slot.target);
    out->set_manifest_digest(slot.manifest_digest);
    out->set_rollout_id(slot.rollout_id);
    out->set_not_after_unix_ms(static_cast<std::uint64_t>(slot.not_after_ms));
  }
  return message;
}

}  // namespace skerry::controller
