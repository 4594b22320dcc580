#pragma once

// The gRPC end of one device's control channel: reads go one at a time through a strand to its
// `DeviceSession`, writes are queued. The device waits while the store is busy, since the next
// message is read only after the last one was stored. Keeps itself alive until gRPC is done with
// it.

#include <deque>
#include <memory>
#include <optional>

#include <boost/asio/strand.hpp>
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
  void close(const Error& reason) override;

  // gRPC's threads.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // A device that reads nothing is cut off rather than remembered without bound.
  static constexpr std::size_t kMaxQueue = 1024;

  DeviceConnection(ServiceContext& context,
                   grpc::CallbackServerContext& call,
                   std::optional<DeviceSession> session);

  // On the strand.
  void on_read(bool ok);
  void on_written(bool ok);
  void enqueue(fleet::v1::ControllerMessage message);
  void finish(const grpc::Status& status);

  ServiceContext& context_;
  // Valid until OnDone.
  grpc::CallbackServerContext& call_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::optional<DeviceSession> session_;
  std::shared_ptr<DeviceConnection> self_;
  fleet::v1::DeviceMessage incoming_;
  std::deque<fleet::v1::ControllerMessage> outgoing_;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> closing_;
};

}  // namespace skerry::controller
