#include "session.hpp"

#include <algorithm>
#include <utility>

namespace skerry::agent::sync {
namespace fleet_pb = fleet::v1;
namespace {

std::string range_of(std::uint32_t lowest, std::uint32_t newest) {
  return lowest == newest ? std::to_string(newest)
                          : std::to_string(lowest) + " to " + std::to_string(newest);
}

std::map<std::string, std::uint64_t> to_map(
    const google::protobuf::Map<std::string, google::protobuf::uint64>& from) {
  return {from.begin(), from.end()};
}

}  // namespace

fleet_pb::DeviceMessage Session::hello(
    std::uint64_t wall_ms,
    const std::map<std::string, std::uint64_t>& generations,
    const std::optional<fleet_pb::AuditCheckpoint>& audit) const {
  fleet_pb::DeviceMessage message;
  fleet_pb::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(kProtocolVersion);
  hello.set_min_protocol_version(kMinProtocolVersion);
  hello.add_capabilities("outbox");
  hello.add_capabilities("slot_reports");
  hello.add_capabilities("image_repository");
  hello.add_capabilities("audit_consistency");
  hello.add_capabilities("director");
  hello.set_director_root_version(static_cast<std::uint64_t>(identity_.director.root));
  hello.set_director_version(static_cast<std::uint64_t>(identity_.director.timestamp));
  *hello.mutable_info() = identity_.info;
  hello.set_boot_id(identity_.boot_id);
  hello.set_wall_time_unix_ms(wall_ms);
  for (const auto& [slot, generation] : generations) {
    (*hello.mutable_generations())[slot] = generation;
  }
  if (audit) {
    *hello.mutable_audit() = *audit;
  }
  hello.add_capabilities("trust_bundle");
  hello.set_trust_sha256(identity_.trust_sha256);
  hello.add_capabilities("sync_nonce");
  hello.set_sync_nonce(identity_.nonce);
  hello.add_capabilities("decommission");
  hello.set_tenant_id(identity_.tenant_id);
  hello.set_site_id(identity_.site_id);
  return message;
}

Result<Session::Effects> Session::on_message(const fleet_pb::ControllerMessage& message) {
  using Case = fleet_pb::ControllerMessage::MessageCase;
  const Case kind = message.message_case();
  if (!established_ && kind != Case::kHello) {
    return Error{Error::Code::kFailedPrecondition,
                 "the controller's first message was not a hello"};
  }
  Effects effects;
  switch (kind) {
    case Case::kHello:
      if (established_) {
        return Error{Error::Code::kFailedPrecondition, "a second hello"};
      }
      return on_hello(message.hello());
    case Case::kDesired:
      return on_desired(message.desired());
    case Case::kAck:
      in_flight_ = false;
      effects.acknowledged = to_map(message.ack().acknowledged());
      return effects;
    case Case::kHeartbeat:
      effects.wall_ms = message.heartbeat().wall_time_unix_ms();
      return effects;
    case Case::kAuditProof:
      effects.prove =
          Effects::AuditGrowth{message.audit_proof().old_size(), message.audit_proof().new_size()};
      return effects;
    case Case::kTrust:
      if (message.trust().ByteSizeLong() > kMaxTrust) {
        return Error{Error::Code::kTooLarge, "a trust bundle above 128 KiB"};
      }
      effects.trust = message.trust();
      return effects;
    case Case::kDecommission:
      if (message.decommission().ByteSizeLong() > kMaxTrust ||
          message.decommission().signatures_size() > kMaxSignatures) {
        return Error{Error::Code::kTooLarge, "an order to decommission beyond its limits"};
      }
      effects.decommission = message.decommission();
      return effects;
    case Case::kMetadataChanged:
      effects.refresh_trust = true;
      return effects;
    default:
      // A kind that a newer controller knows; without the capability it means nothing here.
      return effects;
  }
}

Result<Session::Effects> Session::on_hello(const fleet_pb::ControllerHello& hello) {
  const std::uint32_t theirs = hello.protocol_version();
  const std::uint32_t common = std::min(theirs, kProtocolVersion);
  if (common < kMinProtocolVersion || common < hello.min_protocol_version()) {
    const bool we_are_old = hello.min_protocol_version() > kProtocolVersion;
    return Error{Error::Code::kProtocolMismatch,
                 "this gateway speaks protocol " + range_of(kMinProtocolVersion, kProtocolVersion) +
                     ", the controller " + range_of(hello.min_protocol_version(), theirs) +
                     "; update " + (we_are_old ? "skerryd" : "the controller")};
  }
  if (hello.sync_nonce().size() > kMaxNonce) {
    return Error{Error::Code::kTooLarge, "a sync nonce above 64 bytes"};
  }
  protocol_ = common;
  established_ = true;
  Effects effects;
  effects.established = true;
  effects.acknowledged = to_map(hello.acknowledged());
  effects.wall_ms = hello.wall_time_unix_ms();
  if (!hello.sync_nonce().empty()) {
    effects.nonce = hello.sync_nonce();
  }
  return effects;
}

Result<Session::Effects> Session::on_desired(const fleet_pb::DesiredState& desired) {
  if (desired.slots_size() > kMaxSlots) {
    return Error{Error::Code::kInvalidArgument,
                 "a desired state of " + std::to_string(desired.slots_size()) + " slots"};
  }
  if (desired.director_size() > kMaxFiles) {
    return Error{Error::Code::kInvalidArgument,
                 "a desired state with " + std::to_string(desired.director_size()) +
                     " files of the director"};
  }
  Effects effects;
  effects.desired = true;
  for (const fleet_pb::NamedFile& file : desired.director()) {
    if (file.name().size() > kMaxText || file.content().size() > kMaxFileBytes) {
      return Error{Error::Code::kInvalidArgument, "a file of the director above 4 MiB"};
    }
    effects.director.insert_or_assign(file.name(), file.content());
  }
  for (const fleet_pb::DesiredSlot& slot : desired.slots()) {
    if (slot.slot().size() > kMaxText || slot.target().size() > kMaxText ||
        slot.manifest_digest().size() > kMaxText || slot.rollout_id().size() > kMaxText) {
      return Error{Error::Code::kInvalidArgument, "a desired slot with a text above 1 KiB"};
    }
    Effects::SlotOffer offer;
    offer.slot = slot.slot();
    offer.offer.generation = slot.generation();
    offer.offer.target = slot.target();
    offer.offer.manifest_digest = slot.manifest_digest();
    offer.offer.rollout_id = slot.rollout_id();
    effects.offers.push_back(std::move(offer));
  }
  return effects;
}

fleet_pb::OutboxRecord outbox_record(const OutboxEntry& entry) {
  fleet_pb::OutboxRecord record;
  if (entry.gap || !record.ParseFromString(entry.body)) {
    record.Clear();
    record.mutable_gap()->set_first_seq(entry.first_seq);
    record.mutable_gap()->set_last_seq(entry.seq);
    record.mutable_gap()->set_reason(entry.gap ? entry.body : "unreadable record");
  }
  record.set_stream(entry.stream);
  record.set_seq(entry.seq);
  return record;
}

fleet_pb::DeviceMessage Session::batch(const std::vector<OutboxEntry>& entries) {
  fleet_pb::DeviceMessage message;
  for (const OutboxEntry& entry : entries) {
    *message.mutable_outbox()->add_records() = outbox_record(entry);
  }
  in_flight_ = true;
  return message;
}

}  // namespace skerry::agent::sync
