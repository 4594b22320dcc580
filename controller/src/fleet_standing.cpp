// FleetService: revoking, reinstating and decommissioning devices.

#include <utility>

#include "device_standing.hpp"
#include "fleet_service.hpp"
#include "fleet_views.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using security::SpiffeId;
using security::Verb;

constexpr std::size_t kMaxStandingReason = 256;
constexpr std::size_t kOrderBytes = 16;

Result<void> check_reason(const std::string& reason) {
  const bool lines = reason.find_first_of("\r\n") != std::string::npos;
  if (reason.size() > kMaxStandingReason || !is_utf8(reason) || lines) {
    return Error{Error::Code::kInvalidArgument,
                 "the reason must be one line of UTF-8 of at most 256 bytes"};
  }
  return {};
}

}  // namespace

// One act on the record of one device, audited; `then` follows when it is stored.
Result<pb::Device> FleetServiceImpl::act_on_device(
    const grpc::ServerContextBase& call,
    const pb::DeviceActionRequest& request,
    std::string_view action,
    const std::function<Result<void>(DeviceLifeRecord&, const Caller&)>& change,
    const std::function<void(const DeviceLifeRecord&)>& then) {
  const auto caller = context_.guard.caller(call, SpiffeId::Kind::kOperator);
  if (!caller) {
    return caller.error();
  }
  const std::string& id = request.device_id();
  const auto act = [&]() -> Result<pb::Device> {
    if (auto checked = check_reason(request.reason()); !checked) {
      return checked.error();
    }
    const auto device = context_.store.find_device(id);
    if (!device) {
      return device.error();
    }
    if (!*device || (**device).tenant_id != context_.guard.tenant()) {
      return Error{Error::Code::kNotFound, "there is no device \"" + id.substr(0, 80) + "\""};
    }
    const auto life = context_.store.change_life(
        id, [&](DeviceLifeRecord& record) { return change(record, *caller); });
    if (!life) {
      return life.error();
    }
    then(*life);
    return device_view(context_, **device);
  };
  const Json details = Json::Object{{"device", id.substr(0, 80)},
                                    {"reason", request.reason().substr(0, kMaxStandingReason)}};
  return context_.guard.act(*caller, Verb::kFleetDevicesWrite, action, {}, act, details);
}

grpc::ServerUnaryReactor* FleetServiceImpl::RevokeDevice(grpc::CallbackServerContext* call,
                                                         const pb::DeviceActionRequest* request,
                                                         pb::Device* response) {
  const auto work = [this, call, request] {
    const auto now = context_.clock.wall_now().time_since_epoch().count();
    const auto change = [&](DeviceLifeRecord& life, const Caller& caller) {
      return revoke(life, caller.principal.name, request->reason(), now);
    };
    const auto then = [&](const DeviceLifeRecord& life) {
      context_.gateway.cut(
          life.device_id,
          Error{Error::Code::kPermissionDenied, life.device_id + " was revoked by an operator"});
    };
    return act_on_device(*call, *request, "device.revoke", change, then);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::ReinstateDevice(grpc::CallbackServerContext* call,
                                                            const pb::DeviceActionRequest* request,
                                                            pb::Device* response) {
  const auto work = [this, call, request] {
    const auto change = [](DeviceLifeRecord& life, const Caller&) { return reinstate(life); };
    return act_on_device(
        *call, *request, "device.reinstate", change, [](const DeviceLifeRecord&) {});
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::DecommissionDevice(
    grpc::CallbackServerContext* call,
    const pb::DeviceActionRequest* request,
    pb::Device* response) {
  const auto work = [this, call, request] {
    const auto now = context_.clock.wall_now().time_since_epoch().count();
    const auto change = [&](DeviceLifeRecord& life, const Caller& caller) {
      return order_decommission(
          life, caller.principal.name, request->reason(), context_.random.hex(kOrderBytes), now);
    };
    const auto then = [&](const DeviceLifeRecord& life) {
      auto message = decommission_message(*context_.identity.authorities, life);
      if (!message) {
        context_.log.error("device.order_not_signed", message.error());
        return;
      }
      context_.gateway.send(life.device_id, std::move(*message));
    };
    return act_on_device(*call, *request, "device.decommission", change, then);
  };
  return answer(context_, call, response, work);
}

}  // namespace skerry::controller
