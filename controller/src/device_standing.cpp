#include "device_standing.hpp"

#include "skerry/security/decommission.hpp"

namespace skerry::controller {
namespace {

Error out_of_order(const DeviceLifeRecord& life, std::string_view what) {
  return Error{
      Error::Code::kFailedPrecondition,
      life.device_id + " is " + std::string{standing_of(life).word} + ": " + std::string{what}};
}

}  // namespace

Standing standing_of(const DeviceLifeRecord& life) {
  if (life.decommissioned_ms != 0) {
    return {"decommissioned", life.revoke_reason, life.decommissioned_ms};
  }
  if (life.ordered_ms != 0) {
    return {"decommission ordered", life.revoke_reason, life.ordered_ms};
  }
  if (life.revoked_ms != 0) {
    return {life.quarantined ? "quarantined" : "revoked", life.revoke_reason, life.revoked_ms};
  }
  return {};
}

Result<void> revoke(DeviceLifeRecord& life,
                    const std::string& by,
                    const std::string& reason,
                    std::int64_t now_ms) {
  if (life.decommissioned_ms != 0 || (life.revoked_ms != 0 && !life.quarantined)) {
    return out_of_order(life, "there is nothing to revoke");
  }
  life.revoked_ms = now_ms;
  life.quarantined = false;
  life.revoked_by = by;
  life.revoke_reason = reason;
  return {};
}

Result<void> reinstate(DeviceLifeRecord& life) {
  if (life.decommissioned_ms != 0) {
    return out_of_order(life, "its keys are gone; enrol it anew");
  }
  if (life.revoked_ms == 0 && life.clone_flag.empty() && life.ordered_ms == 0) {
    return out_of_order(life, "there is nothing to take back");
  }
  life.revoked_ms = 0;
  life.quarantined = false;
  life.revoked_by.clear();
  life.revoke_reason.clear();
  // An order that has not reached the device yet; one that has cannot be taken back.
  life.order_id.clear();
  life.ordered_ms = 0;
  life.clone_flag.clear();
  life.clone_ms = 0;
  life.clone_count = 0;
  life.nonce_reset = true;
  return {};
}

Result<void> order_decommission(DeviceLifeRecord& life,
                                const std::string& by,
                                const std::string& reason,
                                const std::string& order_id,
                                std::int64_t now_ms) {
  if (life.decommissioned_ms != 0) {
    return out_of_order(life, "that cannot be done twice");
  }
  if (life.ordered_ms != 0) {
    return out_of_order(life, "it gets the order when it connects");
  }
  if (life.revoked_ms != 0) {
    return out_of_order(
        life,
        "a refused device cannot be reached; reinstate it first if it shall get the "
        "order");
  }
  life.order_id = order_id;
  life.ordered_ms = now_ms;
  life.revoked_by = by;
  life.revoke_reason = reason;
  return {};
}

Result<fleet::v1::ControllerMessage> decommission_message(const Authorities& authorities,
                                                          const DeviceLifeRecord& life) {
  const security::DecommissionOrder order{
      life.device_id, life.order_id, life.ordered_ms, life.revoke_reason};
  const auto signatures = authorities.sign(as_bytes(order.statement()));
  if (!signatures) {
    return signatures.error();
  }
  fleet::v1::ControllerMessage message;
  auto* out = message.mutable_decommission();
  out->set_device_id(order.device_id);
  out->set_order_id(order.order_id);
  out->set_issued_unix_ms(static_cast<std::uint64_t>(order.issued_ms));
  out->set_reason(order.reason);
  for (const Bytes& signature : *signatures) {
    out->add_signatures(std::string{as_text(signature)});
  }
  return message;
}

}  // namespace skerry::controller
