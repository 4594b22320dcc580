#pragma once

// The gateway's side of the fleet: enrols when there is no certificate, keeps one stream to the
// controller, offers desired state to the slots, sends reports and the outbox, and is the slots'
// source of metadata and blobs. Without a controller it does nothing; without a connection nothing
// else stops. Control thread.

#include <functional>
#include <memory>
#include <string>

#include "skerry/agent/administration.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/installer.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/agent/peer_server.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/async/task.hpp"
#include "skerry/security/audit_log.hpp"

namespace skerry::agent {

class SyncClient {
 public:
  SyncClient(Core& core,
             Installer& installer,
             SlotManager& slots,
             Outbox& outbox,
             security::AuditLog& audit,
             ModelHost& host);
  ~SyncClient();

  // Enrols, connects, and connects again with full jitter, until cancelled. Returns only when this
  // gateway was ordered to end, by the controller or by `end`; begin_decommission was called
  // before.
  Task<void> run();
  // Tells the controller, if it is connected, and makes `run` return.
  void end(const std::string& order_id);
  // Lets go of the channel; call it when `run` has ended.
  Task<void> close();

  // Told on the control thread when the gateway has a certificate, and whenever it has a new one.
  using OnIdentity = std::function<void(const PeerIdentity&)>;
  void on_identity(OnIdentity callback);

  // Queues for the controller; sent at once if it is connected.
  void report(const SlotView& view);
  void audit_checkpoint(const security::Checkpoint& checkpoint, const std::string& note);

  // The next part of what waits for the controller, as a signed report for a stick (a serialised
  // SignedStickReport); empty when there is no more. The first part also says how the slots stand.
  // Nothing is forgotten. kNotEnrolled without an identity.
  Task<Result<std::string>> stick_report(StickReportCursor& cursor);

  [[nodiscard]] const SyncState& state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent
