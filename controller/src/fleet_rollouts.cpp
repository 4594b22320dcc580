// The operator calls on rollouts.

#include <utility>

#include "fleet_service.hpp"
#include "fleet_views.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using security::SpiffeId;
using security::Verb;

}  // namespace

grpc::ServerUnaryReactor* FleetServiceImpl::CreateRollout(grpc::CallbackServerContext* call,
                                                          const pb::CreateRolloutRequest* request,
                                                          pb::Rollout* response) {
  const auto work = [this, call, request]() -> Result<pb::Rollout> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto create = [&]() -> Result<std::string> {
      const auto target = context_.trust.find_target(context_.guard.tenant(), request->target());
      if (!target) {
        return target.error();
      }
      if (!*target) {
        return Error{Error::Code::kFailedPrecondition,
                     "\"" + request->target().substr(0, 200) +
                         "\" is not a published target: sign and publish it first"};
      }
      NewRollout rollout;
      rollout.tenant_id = context_.guard.tenant();
      rollout.target = request->target();
      rollout.manifest_digest = (**target).manifest_digest;
      rollout.slot = request->slot().empty() ? "default" : request->slot();
      rollout.device_ids = {request->device_ids().begin(), request->device_ids().end()};
      rollout.canary_devices = request->policy().canary_devices();
      rollout.max_failures = request->policy().max_failures();
      rollout.soak_seconds = request->policy().soak_seconds();
      rollout.note = request->note();
      rollout.created_by = caller->principal.name;
      auto id = context_.rollouts.create(rollout);
      if (id) {
        context_.rollouts.poke();
      }
      return id;
    };
    security::AuditObject object;
    object.slot = request->slot().substr(0, 64);
    const auto id =
        context_.guard.act(*caller, Verb::kFleetRolloutWrite, "rollout.create", object, create);
    if (!id) {
      return id.error();
    }
    return rollout_view(context_, *id);
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::GetRollout(grpc::CallbackServerContext* call,
                                                       const pb::GetRolloutRequest* request,
                                                       pb::Rollout* response) {
  const auto work = [this, call, request]() -> Result<pb::Rollout> {
    const auto caller = reader(*call, Verb::kFleetRolloutRead, "rollout.read");
    if (!caller) {
      return caller.error();
    }
    return rollout_view(context_, request->rollout_id());
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::ListRollouts(grpc::CallbackServerContext* call,
                                                         const pb::ListRolloutsRequest*,
                                                         pb::ListRolloutsResponse* response) {
  const auto work = [this, call]() -> Result<pb::ListRolloutsResponse> {
    const auto caller = reader(*call, Verb::kFleetRolloutRead, "rollout.list");
    if (!caller) {
      return caller.error();
    }
    const auto rollouts = context_.store.rollouts(context_.guard.tenant());
    if (!rollouts) {
      return rollouts.error();
    }
    pb::ListRolloutsResponse out;
    for (const auto& rollout : *rollouts) {
      auto view = rollout_view(context_, rollout.rollout_id);
      if (!view) {
        return view.error();
      }
      *out.add_rollouts() = std::move(*view);
    }
    return out;
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::act_on_rollout(grpc::CallbackServerContext* call,
                                                           const pb::RolloutActionRequest* request,
                                                           pb::Rollout* response,
                                                           OperatorAction action,
                                                           std::string_view name) {
  const auto work = [this, call, request, action, name]() -> Result<pb::Rollout> {
    const auto caller = context_.guard.caller(*call, SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const auto effect = [&] { return context_.rollouts.act(request->rollout_id(), action); };
    if (auto done = context_.guard.act(*caller, Verb::kFleetRolloutWrite, name, {}, effect);
        !done) {
      return done.error();
    }
    context_.rollouts.poke();
    return rollout_view(context_, request->rollout_id());
  };
  return answer(context_, call, response, work);
}

grpc::ServerUnaryReactor* FleetServiceImpl::PauseRollout(grpc::CallbackServerContext* call,
                                                         const pb::RolloutActionRequest* request,
                                                         pb::Rollout* response) {
  return act_on_rollout(call, request, response, OperatorAction::kPause, "rollout.pause");
}

grpc::ServerUnaryReactor* FleetServiceImpl::ResumeRollout(grpc::CallbackServerContext* call,
                                                          const pb::RolloutActionRequest* request,
                                                          pb::Rollout* response) {
  return act_on_rollout(call, request, response, OperatorAction::kResume, "rollout.resume");
}

grpc::ServerUnaryReactor* FleetServiceImpl::AbortRollout(grpc::CallbackServerContext* call,
                                                         const pb::RolloutActionRequest* request,
                                                         pb::Rollout* response) {
  return act_on_rollout(call, request, response, OperatorAction::kAbort, "rollout.abort");
}

}  // namespace skerry::controller
