#include "device_connection.hpp"

#include <utility>

#include <boost/asio/post.hpp>

namespace skerry::controller {

namespace asio = boost::asio;

DeviceConnection::DeviceConnection(ServiceContext& context,
                                   grpc::CallbackServerContext& call,
                                   std::optional<DeviceSession> session)
    : context_(context),
      call_(call),
      strand_(asio::make_strand(context.pool)),
      session_(std::move(session)) {}

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
  asio::post(strand_, [self = shared_from_this(), message = std::move(message)]() mutable {
    self->enqueue(std::move(message));
  });
}

void DeviceConnection::close(const Error& reason) {
  asio::post(strand_,
             [self = shared_from_this(), status = to_status(reason)] { self->finish(status); });
}

void DeviceConnection::OnReadDone(bool ok) {
  asio::post(strand_, [self = shared_from_this(), ok] { self->on_read(ok); });
}

void DeviceConnection::OnWriteDone(bool ok) {
  asio::post(strand_, [self = shared_from_this(), ok] { self->on_written(ok); });
}

void DeviceConnection::OnCancel() {
  asio::post(strand_, [self = shared_from_this()] { self->finish(grpc::Status::CANCELLED); });
}

void DeviceConnection::OnDone() {
  if (session_) {
    context_.gateway.detach(session_->device_id(), this);
    context_.log.info("device.disconnected", {{"device", session_->device_id()}});
  }
  // What still waits on the strand holds its own reference.
  self_.reset();
}

void DeviceConnection::on_read(bool ok) {
  if (finished_) {
    return;
  }
  if (!ok) {
    finish(grpc::Status::OK);  // the device closed its side
    return;
  }
  auto outcome = session_->on_message(incoming_);
  if (!outcome) {
    context_.log.warning("device.stream_refused",
                         outcome.error().with_context(session_->device_id()));
    finish(to_status(outcome.error()));
    return;
  }
  for (auto& reply : outcome->replies) {
    enqueue(std::move(reply));
  }
  if (outcome->greeted) {
    const auto& id = session_->device_id();
    context_.log.info("device.connected", {{"device", id}});
    context_.gateway.attach(id, shared_from_this());
    context_.gateway.push_desired({id});
  }
  if (outcome->reports_changed || outcome->greeted) {
    asio::post(context_.pool, [self = shared_from_this()] { self->context_.rollouts.poke(); });
  }
  if (!finished_) {
    StartRead(&incoming_);
  }
}

void DeviceConnection::enqueue(fleet::v1::ControllerMessage message) {
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

void DeviceConnection::on_written(bool ok) {
  writing_ = false;
  outgoing_.pop_front();
  if (closing_) {
    finish(*closing_);
    return;
  }
  if (finished_) {
    return;
  }
  if (!ok) {
    finish(grpc::Status::CANCELLED);
    return;
  }
  if (!outgoing_.empty()) {
    writing_ = true;
    StartWrite(&outgoing_.front());
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
