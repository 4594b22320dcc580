#include "enrolment_service.hpp"

#include <algorithm>

namespace skerry::controller {
namespace {

security::AuditEvent enrolment_event(const std::string& device, const Error* error) {
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kAuthentication;
  event.action = "device.enrol";
  event.actor = security::Principal{};
  event.authn_method = "token";
  event.outcome =
      error == nullptr ? security::AuditOutcome::kSuccess : security::AuditOutcome::kDenied;
  event.reason = error == nullptr ? "" : error->to_string();
  if (!device.empty()) {
    event.details = Json::Object{{"device", device}};
  }
  return event;
}

}  // namespace

bool EnrolmentServiceImpl::admit() {
  const std::lock_guard lock{mutex_};
  const BootTime now = context_.clock.boot_now();
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  allowance_ = std::min(kBurst, allowance_ + seconds * kPerSecond);
  refilled_ = now;
  if (allowance_ < 1) {
    return false;
  }
  allowance_ -= 1;
  return true;
}

Result<fleet::v1::EnrollResponse> EnrolmentServiceImpl::enroll(
    const fleet::v1::EnrollRequest& request) {
  if (!admit()) {
    return Error{Error::Code::kResourceExhausted,
                 "too many enrolment attempts at the moment: try again in a minute"};
  }
  auto enrolled = context_.enrolment.enroll(
      request.token(), request.csr_der(), request.info().SerializeAsString());
  if (!enrolled) {
    context_.guard.record(enrolment_event("", &enrolled.error()));
    context_.log.warning("enrolment.refused", enrolled.error());
    return enrolled.error();
  }
  context_.guard.record(enrolment_event(enrolled->device_id, nullptr));
  context_.log.info("enrolment.accepted",
                    {{"device", enrolled->device_id}, {"site", enrolled->site_id}});
  fleet::v1::EnrollResponse response;
  response.set_device_id(enrolled->device_id);
  response.set_tenant_id(enrolled->tenant_id);
  response.set_site_id(enrolled->site_id);
  response.set_certificate_chain_pem(enrolled->certificate_chain_pem);
  response.set_trust_bundle_pem(enrolled->trust_bundle_pem);
  const auto roots = context_.director.roots(enrolled->tenant_id);
  if (!roots) {
    context_.log.error("director.roots_unreadable", roots.error());
  } else if (!roots->empty()) {
    response.set_director_root(roots->front().content);
  }
  return response;
}

grpc::ServerUnaryReactor* EnrolmentServiceImpl::Enroll(grpc::CallbackServerContext* call,
                                                       const fleet::v1::EnrollRequest* request,
                                                       fleet::v1::EnrollResponse* response) {
  return answer(context_, call, response, [this, request] { return enroll(*request); });
}

}  // namespace skerry::controller
