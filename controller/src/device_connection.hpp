#pragma once

// The gRPC end of one device's control channel. A message that was read goes to the `DeviceSession`
// on the pool, where it may wait for the store; the next one is read only after that. Writes are
// queued under a lock of their own, so that a push never waits for the pool. Keeps itself alive
// until gRPC is done with it.

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/support/server_callback.h>

#include "device_session.hpp"
#include "service_context.hpp"

namespace skerry::controller {

class DeviceConnection final
    : public grpc::ServerBidiReactor<fleet::v1::DeviceMessage, fleet::v1::ControllerMessage>,
      public DeviceLink,
      public std::enable_shared_from_this<DeviceConnection> {
 public:
  static DeviceConnection* start(ServiceContext& context, grpc::CallbackServerContext& call);

  // DeviceLink; any thread.
  void send(fleet::v1::ControllerMessage message) override;
  void desire(std::vector<DesiredSlotRecord> slots) override;
  void close(const Error& reason) override;

  // gRPC's threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // A device that reads nothing is cut off rather than remembered without bound.
  static constexpr std::size_t kMaxQueue = 1024;

  DeviceConnection(ServiceContext& context, grpc::CallbackServerContext& call);

  // On the pool, one at a time.
  void open();
  void on_message();
  // On the pool, side by side: signs and sends, unless something newer went out meanwhile.
  void direct(const std::vector<DesiredSlotRecord>& slots);
  void report_clone(const std::string& finding);
  void send_order();
  void record_decommission();
  // With the lock held.
  void finish(const grpc::Status& status);

  ServiceContext& context_;
  // Valid until OnDone.
  grpc::CallbackServerContext& call_;
  std::optional<DeviceSession> session_;
  security::Principal principal_;
  std::shared_ptr<DeviceConnection> self_;
  fleet::v1::DeviceMessage incoming_;
  std::mutex mutex_;
  std::deque<fleet::v1::ControllerMessage> outgoing_;
  // While the call is opened and while a message is written.
  bool busy_ = true;
  bool finished_ = false;
  bool done_ = false;
  std::optional<grpc::Status> closing_;
  std::mutex directing_;
  // The director version that was sent last.
  std::int64_t directed_ = 0;
};

}  // namespace skerry::controller
