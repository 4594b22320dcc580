#pragma once

// FleetService: what operators call. Thin: identify, decide, audit, do, answer.

#include <functional>

#include "skerry/fleet/v1/operator.grpc.pb.h"

#include "service_context.hpp"

namespace skerry::controller {

class FleetServiceImpl final : public fleet::v1::FleetService::CallbackService {
 public:
  explicit FleetServiceImpl(ServiceContext& context) : context_(context) {}

#define SKERRY_UNARY(name, request, response) \
  grpc::ServerUnaryReactor* name(             \
      grpc::CallbackServerContext*, const fleet::v1::request*, fleet::v1::response*) override
  SKERRY_UNARY(GetController, GetControllerRequest, GetControllerResponse);
  SKERRY_UNARY(CreateEnrolmentToken, CreateEnrolmentTokenRequest, CreateEnrolmentTokenResponse);
  SKERRY_UNARY(ListDevices, ListDevicesRequest, ListDevicesResponse);
  SKERRY_UNARY(GetDevice, GetDeviceRequest, Device);
  SKERRY_UNARY(MissingBlobs, MissingBlobsRequest, MissingBlobsResponse);
  SKERRY_UNARY(StageManifest, StageManifestRequest, StageManifestResponse);
  SKERRY_UNARY(ListModels, ListFleetModelsRequest, ListFleetModelsResponse);
  SKERRY_UNARY(GetTrustMetadata, GetTrustMetadataRequest, GetTrustMetadataResponse);
  SKERRY_UNARY(Publish, PublishRequest, PublishResponse);
  SKERRY_UNARY(CreateRollout, CreateRolloutRequest, Rollout);
  SKERRY_UNARY(GetRollout, GetRolloutRequest, Rollout);
  SKERRY_UNARY(ListRollouts, ListRolloutsRequest, ListRolloutsResponse);
  SKERRY_UNARY(PauseRollout, RolloutActionRequest, Rollout);
  SKERRY_UNARY(ResumeRollout, RolloutActionRequest, Rollout);
  SKERRY_UNARY(AbortRollout, RolloutActionRequest, Rollout);
  SKERRY_UNARY(QueryTelemetry, QueryTelemetryRequest, QueryTelemetryResponse);
  SKERRY_UNARY(RevokeDevice, DeviceActionRequest, Device);
  SKERRY_UNARY(ReinstateDevice, DeviceActionRequest, Device);
  SKERRY_UNARY(DecommissionDevice, DeviceActionRequest, Device);
  SKERRY_UNARY(ListAuthorities, ListAuthoritiesRequest, ListAuthoritiesResponse);
  SKERRY_UNARY(RotateAuthority, RotateAuthorityRequest, ListAuthoritiesResponse);
  SKERRY_UNARY(RetireAuthority, RetireAuthorityRequest, ListAuthoritiesResponse);
  SKERRY_UNARY(RenewOperator, RenewRequest, RenewResponse);
  SKERRY_UNARY(ImportReport, ImportReportRequest, ImportReportResponse);
#undef SKERRY_UNARY

  grpc::ServerReadReactor<fleet::v1::PushBlobRequest>* PushBlob(
      grpc::CallbackServerContext* call, fleet::v1::PushBlobResponse* response) override;
  grpc::ServerWriteReactor<fleet::v1::Rollout>* WatchRollout(
      grpc::CallbackServerContext* call, const fleet::v1::GetRolloutRequest* request) override;
  grpc::ServerWriteReactor<fleet::v1::ControllerAuditRecord>* TailAudit(
      grpc::CallbackServerContext* call,
      const fleet::v1::TailControllerAuditRequest* request) override;

 private:
  // An operator who may `verb`; a denial is already recorded.
  Result<Caller> reader(const grpc::ServerContextBase& call,
                        security::Verb verb,
                        std::string_view action);
  Result<fleet::v1::ImportReportResponse> import_report(
      const fleet::v1::ImportReportRequest& request);
  Result<fleet::v1::Device> act_on_device(
      const grpc::ServerContextBase& call,
      const fleet::v1::DeviceActionRequest& request,
      std::string_view action,
      const std::function<Result<void>(DeviceLifeRecord&, const Caller&)>& change,
      const std::function<void(const DeviceLifeRecord&)>& then);
  grpc::ServerUnaryReactor* act_on_rollout(grpc::CallbackServerContext* call,
                                           const fleet::v1::RolloutActionRequest* request,
                                           fleet::v1::Rollout* response,
                                           OperatorAction action,
                                           std::string_view name);

  ServiceContext& context_;
};

}  // namespace skerry::controller
