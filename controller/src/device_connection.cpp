#include "device_connection.hpp"

#include <utility>

#include <boost/asio/post.hpp>

namespace skerry::controller {

namespace asio = boost::asio;

DeviceConnection::DeviceConnection(ServiceContext& context,
                                   grpc::CallbackServerContext& call,
                                   std::optional<DeviceSession> session)
    : context_(context), call_(call), session_(std::move(session)) {}

DeviceConnection* DeviceConnection::start(ServiceContext& context,
                                          grpc::CallbackServerContext& call) {
  const auto device = device_of(context, call);
  std::optional<DeviceSession> session;
  if (device) {
    session.emplace(
        context.store, context.clock, context.log, device->device_id, device->tenant_id);
  }
  std::shared_ptr<DeviceConnection> connection{
      new DeviceConnection{context, call, std::move(session)}};
  connection->self_ = connection;
  if (!device) {
    context.log.warning("device.refused", device.error());
    connection->finished_ = true;
    connection->Finish(to_status(device.error()));
  } else {
    connection->StartRead(&connection->incoming_);
  }
  return connection.get();
}

void DeviceConnection::send(fleet::v1::ControllerMessage message) {
  const std::lock_guard lock{mutex_};
  if (finished_ || closing_) {
    return;
  }
  if (outgoing_.size() >= kMaxQueue) {
    context_.log.warning("device.not_reading", {{"device", session_->device_id()}});
    call_.TryCancel();
    return;
  }
  outgoing_.push_back(std::move(message));
  if (!writing_) {
    writing_ = true;
    StartWrite(&outgoing_.front());
  }
}

void DeviceConnection::close(const Error& reason) {
  const std::lock_guard lock{mutex_};
  finish(to_status(reason));
}

void DeviceConnection::OnReadDone(bool ok) {
  if (!ok) {
    // The device closed its side, or the call is over.
    const std::lock_guard lock{mutex_};
    finish(grpc::Status::OK);
    return;
  }
  asio::post(context_.pool, [self = shared_from_this()] { self->on_message(); });
}

void DeviceConnection::OnWriteDone(bool ok) {
  const std::lock_guard lock{mutex_};
  writing_ = false;
  outgoing_.pop_front();
  if (closing_ || !ok) {
    finish(closing_.value_or(grpc::Status::CANCELLED));
  } else if (!outgoing_.empty() && !finished_) {
    writing_ = true;
    StartWrite(&outgoing_.front());
  }
}

void DeviceConnection::OnCancel() {
  const std::lock_guard lock{mutex_};
  finish(grpc::Status::CANCELLED);
}

void DeviceConnection::OnDone() {
  if (session_) {
    context_.gateway.detach(session_->device_id(), this);
    context_.log.info("device.disconnected", {{"device", session_->device_id()}});
  }
  // Work that is still on the pool holds its own reference.
  self_.reset();
}

void DeviceConnection::on_message() {
  auto outcome = session_->on_message(incoming_);
  if (!outcome) {
    context_.log.warning("device.stream_refused",
                         outcome.error().with_context(session_->device_id()));
    close(outcome.error());
    return;
  }
  for (auto& reply : outcome->replies) {
    send(std::move(reply));
  }
  if (outcome->greeted) {
    const auto& id = session_->device_id();
    context_.log.info("device.connected", {{"device", id}});
    context_.gateway.attach(id, shared_from_this());
    context_.gateway.push_desired({id});
  }
  {
    const std::lock_guard lock{mutex_};
    if (!finished_) {
      StartRead(&incoming_);
    }
  }
  if (outcome->reports_changed || outcome->greeted) {
    context_.rollouts.poke();
  }
}

void DeviceConnection::finish(const grpc::Status& status) {
  if (finished_) {
    return;
  }
  if (writing_) {
    // gRPC takes the status only after the message that is being written.
    if (!closing_) {
      closing_ = status;
    }
    return;
  }
  finished_ = true;
  Finish(status);
}

}  // namespace skerry::controller
