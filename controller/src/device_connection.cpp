#include "device_connection.hpp"

#include <utility>

#include <boost/asio/post.hpp>

#include "device_standing.hpp"

namespace skerry::controller {

namespace asio = boost::asio;

DeviceConnection::DeviceConnection(ServiceContext& context, grpc::CallbackServerContext& call)
    : context_(context), call_(call) {}

DeviceConnection* DeviceConnection::start(ServiceContext& context,
                                          grpc::CallbackServerContext& call) {
  std::shared_ptr<DeviceConnection> connection{new DeviceConnection{context, call}};
  connection->self_ = connection;
  asio::post(context.pool, [connection] { connection->open(); });
  return connection.get();
}

void DeviceConnection::open() {
  const auto device = identify_device(context_, call_);
  if (device) {
    const auto root = context_.director.root_version(device->device.tenant_id);
    if (!root) {
      context_.log.error("director.root_unreadable", root.error());
    }
    session_.emplace(context_.store,
                     context_.clock,
                     context_.log,
                     device->device.device_id,
                     device->device.tenant_id,
                     root && *root > 0,
                     CloneGuard{&context_.random,
                                device->caller.issued.time_since_epoch().count(),
                                context_.settings.identity().on_clone == "quarantine"});
    principal_ = device->caller.principal;
  } else {
    context_.log.warning("device.refused", device.error());
  }
  const std::lock_guard lock{mutex_};
  busy_ = false;
  if (closing_ || !device) {
    finish(closing_ ? *closing_ : to_status(device.error()));
  } else {
    StartRead(&incoming_);
  }
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
  if (!busy_) {
    busy_ = true;
    StartWrite(&outgoing_.front());
  }
}

void DeviceConnection::desire(std::vector<DesiredSlotRecord> slots) {
  if (!session_->takes_director()) {
    send(desired_message(slots));
    return;
  }
  asio::post(context_.pool,
             [self = shared_from_this(), slots = std::move(slots)] { self->direct(slots); });
}

void DeviceConnection::direct(const std::vector<DesiredSlotRecord>& slots) {
  const DirectedDevice device = session_->directed();
  auto view = context_.director.view(device, slots);
  auto roots = context_.director.roots_after(device.tenant_id, session_->director_root_version());
  auto message = desired_message(slots);
  if (!view || !roots) {
    // Sent all the same: a device that wants it signed refuses it and says why nothing happens.
    const Error& why = view ? roots.error() : view.error();
    context_.log.error("director.not_signed", why.with_context(device.device_id));
    send(std::move(message));
    return;
  }
  const std::lock_guard lock{directing_};
  if (*view) {
    if ((**view).version < directed_) {
      return;
    }
    directed_ = (**view).version;
    for (auto* files : {&*roots, &(**view).files}) {
      for (auto& file : *files) {
        auto* out = message.mutable_desired()->add_director();
        out->set_name(std::move(file.name));
        out->set_content(std::move(file.content));
      }
    }
  }
  send(std::move(message));
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
  busy_ = false;
  outgoing_.pop_front();
  if (closing_ || !ok) {
    finish(closing_.value_or(grpc::Status::CANCELLED));
  } else if (!outgoing_.empty() && !finished_) {
    busy_ = true;
    StartWrite(&outgoing_.front());
  }
}

void DeviceConnection::OnCancel() {
  const std::lock_guard lock{mutex_};
  finish(grpc::Status::CANCELLED);
}

void DeviceConnection::OnDone() {
  {
    const std::lock_guard lock{mutex_};
    done_ = true;
  }
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
  if (!outcome->clone_finding.empty()) {
    report_clone(outcome->clone_finding);
  }
  if (outcome->refusal) {
    // Its key is in two places: what either of them is being sent ends too.
    context_.gateway.cut(session_->device_id(), *outcome->refusal);
    close(*outcome->refusal);
    return;
  }
  for (auto& reply : outcome->replies) {
    send(std::move(reply));
  }
  if (outcome->greeted) {
    const auto& id = session_->device_id();
    context_.log.info("device.connected", {{"device", id}});
    if (auto passed = context_.director.pass_version(id, session_->director_version()); !passed) {
      context_.log.error("director.version_not_kept", passed.error());
    }
    const auto& trusted = incoming_.hello().trust_sha256();
    const auto& authorities = *context_.identity.authorities;
    if (!trusted.empty() && trusted != Digest::of(authorities.bundle_pem()).raw()) {
      send(trust_message(authorities));
    }
    send_order();
    context_.gateway.attach(id, shared_from_this());
    context_.gateway.push_desired({id});
  }
  bool gone = false;
  {
    const std::lock_guard lock{mutex_};
    gone = done_;
    if (!finished_) {
      StartRead(&incoming_);
    }
  }
  if (gone) {
    // The call ended while the hello was being stored.
    context_.gateway.detach(session_->device_id(), this);
    return;
  }
  if (outcome->decommissioned) {
    record_decommission();
  }
  if (outcome->reports_changed || outcome->greeted) {
    context_.rollouts.poke();
  }
}

void DeviceConnection::report_clone(const std::string& finding) {
  const auto& id = session_->device_id();
  context_.log.error("device.clone_suspected", {{"device", id}, {"finding", finding}});
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kAuthentication;
  event.action = "device.clone_suspected";
  event.actor = principal_;
  event.authn_method = "mtls";
  event.outcome = security::AuditOutcome::kFailure;
  event.reason = finding;
  event.details = Json::Object{{"device", id}, {"policy", context_.settings.identity().on_clone}};
  context_.guard.record(event);
}

// An operator ended this device: it gets the order with every hello until it has obeyed.
void DeviceConnection::send_order() {
  const auto life = context_.store.life(session_->device_id());
  if (!life) {
    context_.log.error("device.order_not_read", life.error());
    return;
  }
  if (life->ordered_ms == 0 || life->decommissioned_ms != 0) {
    return;
  }
  auto message = decommission_message(*context_.identity.authorities, *life);
  if (!message) {
    context_.log.error("device.order_not_signed", message.error());
    return;
  }
  send(std::move(*message));
}

void DeviceConnection::record_decommission() {
  const auto& id = session_->device_id();
  context_.log.info("device.decommissioned", {{"device", id}});
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kAdministration;
  event.action = "device.decommissioned";
  event.actor = principal_;
  event.authn_method = "mtls";
  event.details = Json::Object{{"device", id}};
  context_.guard.record(event);
  // Whatever still comes with this certificate is not the device any more.
  context_.gateway.cut(
      id, Error{Error::Code::kPermissionDenied, id + " was decommissioned: its record is closed"});
}

void DeviceConnection::finish(const grpc::Status& status) {
  if (finished_) {
    return;
  }
  if (busy_) {
    // The call is being opened, or gRPC takes the status only after the message on its way.
    if (!closing_) {
      closing_ = status;
    }
    return;
  }
  finished_ = true;
  Finish(status);
}

}  // namespace skerry::controller
