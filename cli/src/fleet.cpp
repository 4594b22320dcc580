#include "fleet.hpp"

#include <chrono>
#include <cstdlib>

#include "skerry/cli/key_files.hpp"
#include "skerry/fleet/v1/operator.grpc.pb.h"

#include "remote.hpp"

namespace skerry::cli {

struct FleetConnection::Impl {
  std::string controller;
  std::unique_ptr<fleet::FleetService::Stub> stub;
};

namespace {

using FleetStub = fleet::FleetService::Stub;

constexpr std::size_t kMaxPem = 1U << 20U;
constexpr std::chrono::seconds kTimeout{60};

std::map<std::string, std::string> relevant_environment() {
  std::map<std::string, std::string> environment;
  for (const char* name : {"HOME", "XDG_CONFIG_HOME", "SKERRY_FLEET_CONFIG"}) {
    // One thread runs here; nothing changes the environment.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    if (const char* value = std::getenv(name); value != nullptr) {
      environment[name] = value;
    }
  }
  return environment;
}

Result<grpc::SslCredentialsOptions> load_credentials(FileSystem& fs, const FleetProfile& profile) {
  grpc::SslCredentialsOptions tls;
  auto ca = read_file(fs, profile.ca, kMaxPem);
  if (!ca) {
    return ca.error().with_context("the controller's authority");
  }
  auto cert = read_file(fs, profile.cert, kMaxPem);
  if (!cert) {
    return cert.error().with_context("the operator's certificate");
  }
  const auto uri = key_uri(profile.key);
  if (!uri) {
    return uri.error();
  }
  auto key = security::private_key_pem(fs, *uri);
  if (!key) {
    return key.error().with_context("the operator's key");
  }
  tls.pem_root_certs = std::move(*ca);
  tls.pem_cert_chain = std::move(*cert);
  tls.pem_private_key = std::move(*key);
  return tls;
}

template <class Impl, class Request, class Response>
Result<Response> unary(const Impl& impl,
                       grpc::Status (FleetStub::*method)(grpc::ClientContext*,
                                                         const Request&,
                                                         Response*),
                       const Request& request,
                       std::chrono::seconds timeout = kTimeout) {
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  const grpc::Status status = (impl.stub.get()->*method)(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, impl.controller);
  }
  return response;
}

}  // namespace

FleetConnection::FleetConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FleetConnection::FleetConnection(FleetConnection&&) noexcept = default;
FleetConnection& FleetConnection::operator=(FleetConnection&&) noexcept = default;
FleetConnection::~FleetConnection() = default;

Result<FleetProfile> fleet_profile(Invocation& invocation, const Fleet& options) {
  return resolve_profile(invocation.fs, options.arguments, relevant_environment());
}

Result<FleetConnection> FleetConnection::open(Invocation& invocation, const Fleet& options) {
  const auto profile = fleet_profile(invocation, options);
  if (!profile) {
    return profile.error();
  }
  const auto tls = load_credentials(invocation.fs, *profile);
  if (!tls) {
    return tls.error();
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  if (!profile->server_name.empty()) {
    arguments.SetSslTargetNameOverride(profile->server_name);
  }
  const auto channel =
      grpc::CreateCustomChannel(profile->controller, grpc::SslCredentials(*tls), arguments);
  auto impl = std::make_unique<Impl>();
  impl->controller = profile->controller;
  impl->stub = fleet::FleetService::NewStub(channel);
  constexpr std::chrono::seconds kConnect{10};
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnect)) {
    // One call to learn why; waiting tells nothing.
    const auto answer = unary(
        *impl, &FleetStub::GetController, fleet::GetControllerRequest{}, std::chrono::seconds{2});
    if (!answer) {
      return Error{Error::Code::kUnavailable,
                   "no connection to the controller at " + profile->controller + ": " +
                       answer.error().message()};
    }
  }
  return FleetConnection{std::move(impl)};
}

Result<fleet::GetControllerResponse> FleetConnection::call(
    const fleet::GetControllerRequest& request) const {
  return unary(*impl_, &FleetStub::GetController, request);
}

Result<fleet::CreateEnrolmentTokenResponse> FleetConnection::call(
    const fleet::CreateEnrolmentTokenRequest& request) const {
  return unary(*impl_, &FleetStub::CreateEnrolmentToken, request);
}

Result<fleet::ListDevicesResponse> FleetConnection::call(
    const fleet::ListDevicesRequest& request) const {
  return unary(*impl_, &FleetStub::ListDevices, request);
}

Result<fleet::Device> FleetConnection::call(const fleet::GetDeviceRequest& request) const {
  return unary(*impl_, &FleetStub::GetDevice, request);
}

Result<fleet::MissingBlobsResponse> FleetConnection::call(
    const fleet::MissingBlobsRequest& request) const {
  return unary(*impl_, &FleetStub::MissingBlobs, request);
}

Result<fleet::StageManifestResponse> FleetConnection::call(
    const fleet::StageManifestRequest& request) const {
  return unary(*impl_, &FleetStub::StageManifest, request);
}

Result<fleet::ListFleetModelsResponse> FleetConnection::call(
    const fleet::ListFleetModelsRequest& request) const {
  return unary(*impl_, &FleetStub::ListModels, request);
}

Result<fleet::GetTrustMetadataResponse> FleetConnection::call(
    const fleet::GetTrustMetadataRequest& request) const {
  return unary(*impl_, &FleetStub::GetTrustMetadata, request);
}

Result<fleet::PublishResponse> FleetConnection::call(const fleet::PublishRequest& request) const {
  return unary(*impl_, &FleetStub::Publish, request);
}

Result<fleet::Rollout> FleetConnection::call(const fleet::CreateRolloutRequest& request) const {
  return unary(*impl_, &FleetStub::CreateRollout, request);
}

Result<fleet::Rollout> FleetConnection::call(const fleet::GetRolloutRequest& request) const {
  return unary(*impl_, &FleetStub::GetRollout, request);
}

Result<fleet::ListRolloutsResponse> FleetConnection::call(
    const fleet::ListRolloutsRequest& request) const {
  return unary(*impl_, &FleetStub::ListRollouts, request);
}

Result<fleet::Rollout> FleetConnection::pause(const fleet::RolloutActionRequest& request) const {
  return unary(*impl_, &FleetStub::PauseRollout, request);
}

Result<fleet::Rollout> FleetConnection::resume(const fleet::RolloutActionRequest& request) const {
  return unary(*impl_, &FleetStub::ResumeRollout, request);
}

Result<fleet::Rollout> FleetConnection::abort(const fleet::RolloutActionRequest& request) const {
  return unary(*impl_, &FleetStub::AbortRollout, request);
}

Result<fleet::QueryTelemetryResponse> FleetConnection::call(
    const fleet::QueryTelemetryRequest& request) const {
  return unary(*impl_, &FleetStub::QueryTelemetry, request);
}

Result<fleet::ImportReportResponse> FleetConnection::call(
    const fleet::ImportReportRequest& request) const {
  return unary(*impl_, &FleetStub::ImportReport, request);
}

Result<fleet::ListAuthoritiesResponse> FleetConnection::call(
    const fleet::ListAuthoritiesRequest& request) const {
  return unary(*impl_, &FleetStub::ListAuthorities, request);
}

Result<fleet::ListAuthoritiesResponse> FleetConnection::call(
    const fleet::RotateAuthorityRequest& request) const {
  return unary(*impl_, &FleetStub::RotateAuthority, request);
}

Result<fleet::ListAuthoritiesResponse> FleetConnection::call(
    const fleet::RetireAuthorityRequest& request) const {
  return unary(*impl_, &FleetStub::RetireAuthority, request);
}

Result<fleet::RenewResponse> FleetConnection::call(const fleet::RenewRequest& request) const {
  return unary(*impl_, &FleetStub::RenewOperator, request);
}

Result<fleet::Device> FleetConnection::revoke(const fleet::DeviceActionRequest& request) const {
  return unary(*impl_, &FleetStub::RevokeDevice, request);
}

Result<fleet::Device> FleetConnection::reinstate(const fleet::DeviceActionRequest& request) const {
  return unary(*impl_, &FleetStub::ReinstateDevice, request);
}

Result<fleet::Device> FleetConnection::decommission(
    const fleet::DeviceActionRequest& request) const {
  return unary(*impl_, &FleetStub::DecommissionDevice, request);
}

Result<fleet::PushBlobResponse> FleetConnection::push_blob(
    const fleet::PushBlobHeader& header, const std::function<Result<std::string>()>& next) const {
  grpc::ClientContext context;
  fleet::PushBlobResponse response;
  const auto writer = impl_->stub->PushBlob(&context, &response);
  fleet::PushBlobRequest request;
  *request.mutable_header() = header;
  bool open = writer->Write(request);
  Result<void> given;
  while (open) {
    auto piece = next();
    if (!piece) {
      given = piece.error();
      context.TryCancel();
      break;
    }
    if (piece->empty()) {
      break;
    }
    request.set_data(std::move(*piece));
    open = writer->Write(request);
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!given) {
    return given.error();
  }
  if (!status.ok()) {
    return to_error(status, impl_->controller);
  }
  return response;
}

Result<void> FleetConnection::watch(const fleet::GetRolloutRequest& request,
                                    const std::function<bool(const fleet::Rollout&)>& each) const {
  grpc::ClientContext context;
  const auto reader = impl_->stub->WatchRollout(&context, request);
  fleet::Rollout rollout;
  while (reader->Read(&rollout)) {
    if (!each(rollout)) {
      context.TryCancel();
      static_cast<void>(reader->Finish());
      return {};
    }
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? Error{Error::Code::kUnavailable, "the controller ended the watch"}
                     : to_error(status, impl_->controller);
}

Result<void> FleetConnection::tail_audit(
    const fleet::TailControllerAuditRequest& request,
    const std::function<void(const fleet::ControllerAuditRecord&)>& each) const {
  grpc::ClientContext context;
  const auto reader = impl_->stub->TailAudit(&context, request);
  fleet::ControllerAuditRecord record;
  while (reader->Read(&record)) {
    each(record);
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? Result<void>{} : to_error(status, impl_->controller);
}

}  // namespace skerry::cli
