// FleetService: reports that came back on a stick.

#include <utility>

#include "device_session.hpp"
#include "device_standing.hpp"
#include "fleet_service.hpp"
#include "stick_report.hpp"

namespace skerry::controller {
namespace {

Result<DeviceRecord> reporting_device(ServiceContext& context, const std::string& id) {
  auto device = context.store.find_device(id);
  if (!device) {
    return device.error();
  }
  if (!*device || (**device).tenant_id != context.guard.tenant()) {
    return Error{Error::Code::kNotEnrolled,
                 id + " is not enrolled at this controller: its reports belong to nobody here"};
  }
  const auto life = context.store.life(id);
  if (!life) {
    return life.error();
  }
  if (life->revoked_ms != 0 || life->decommissioned_ms != 0) {
    return Error{Error::Code::kPermissionDenied,
                 id + " is " + std::string{standing_of(*life).word} +
                     ": what its key signs is not believed"};
  }
  return std::move(**device);
}

}  // namespace

Result<fleet::v1::ImportReportResponse> FleetServiceImpl::import_report(
    const fleet::v1::ImportReportRequest& request) {
  const auto report = open_stick_report(request.report(),
                                        *context_.identity.authorities,
                                        context_.settings.identity().trust_domain,
                                        context_.clock.wall_now());
  if (!report) {
    return report.error();
  }
  const auto device = reporting_device(context_, report->device_id());
  if (!device) {
    return device.error();
  }
  DeviceSession session{
      context_.store, context_.clock, context_.log, device->device_id, device->tenant_id};
  const auto taken =
      session.take_report(*report, request.has_audit_proof() ? &request.audit_proof() : nullptr);
  if (!taken) {
    return taken.error();
  }
  if (taken->reports_changed) {
    context_.rollouts.poke();
  }
  fleet::v1::ImportReportResponse response;
  response.set_device_id(device->device_id);
  response.set_made_unix_ms(report->made_unix_ms());
  response.set_records(static_cast<std::uint64_t>(report->records_size()));
  response.set_applied(taken->applied);
  for (const auto& reply : taken->replies) {
    if (reply.has_audit_proof()) {
      *response.mutable_audit_proof() = reply.audit_proof();
    }
  }
  const auto witness = context_.store.witness(device->device_id);
  if (!witness) {
    return witness.error();
  }
  if (*witness) {
    response.set_audit_size(static_cast<std::uint64_t>((**witness).size));
    response.set_audit_finding((**witness).flag);
  }
  context_.log.info("report.imported",
                    {{"device", device->device_id},
                     {"records", response.records()},
                     {"applied", response.applied()}});
  return response;
}

grpc::ServerUnaryReactor* FleetServiceImpl::ImportReport(
    grpc::CallbackServerContext* call,
    const fleet::v1::ImportReportRequest* request,
    fleet::v1::ImportReportResponse* response) {
  const auto work = [this, call, request]() -> Result<fleet::v1::ImportReportResponse> {
    const auto caller = context_.guard.caller(*call, security::SpiffeId::Kind::kOperator);
    if (!caller) {
      return caller.error();
    }
    const Json details = Json::Object{{"report", Digest::of(request->report()).to_string()}};
    return context_.guard.act(
        *caller,
        security::Verb::kFleetDevicesWrite,
        "report.import",
        {},
        [&] { return import_report(*request); },
        details);
  };
  return answer(context_, call, response, work);
}

}  // namespace skerry::controller
