#include "admin.hpp"

#include "skerry/admin/v1/admin.grpc.pb.h"

#include "remote.hpp"

namespace skerry::cli {
namespace {

using AdminStub = admin::AdminService::Stub;

constexpr std::chrono::seconds kQuick{30};
// Unloading and loading a model, or reading a whole log or store.
constexpr std::chrono::minutes kLong{10};
// Reading the whole store again, at the rate that was asked for.
constexpr std::chrono::hours kScrub{48};

template <class Request, class Response>
Result<Response> call(Invocation& invocation,
                      grpc::Status (AdminStub::*method)(grpc::ClientContext*,
                                                        const Request&,
                                                        Response*),
                      const Request& request,
                      std::chrono::seconds timeout = kQuick) {
  auto channel = connect_socket(invocation.admin_socket);
  if (!channel) {
    return channel.error();
  }
  const auto stub = admin::AdminService::NewStub(*channel);
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  const grpc::Status status = (stub.get()->*method)(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, invocation.admin_socket);
  }
  return response;
}

}  // namespace

Result<admin::GetStatusResponse> call_admin(Invocation& invocation,
                                            const admin::GetStatusRequest& request) {
  return call(invocation, &AdminStub::GetStatus, request);
}

Result<admin::ListSlotsResponse> call_admin(Invocation& invocation,
                                            const admin::ListSlotsRequest& request) {
  return call(invocation, &AdminStub::ListSlots, request);
}

Result<admin::RollbackResponse> call_admin(Invocation& invocation,
                                           const admin::RollbackRequest& request) {
  return call(invocation, &AdminStub::Rollback, request, kLong);
}

Result<admin::ClearQuarantineResponse> call_admin(Invocation& invocation,
                                                  const admin::ClearQuarantineRequest& request) {
  return call(invocation, &AdminStub::ClearQuarantine, request);
}

Result<admin::CanIResponse> call_admin(Invocation& invocation, const admin::CanIRequest& request) {
  return call(invocation, &AdminStub::CanI, request);
}

Result<admin::SetPolicyResponse> call_admin(Invocation& invocation,
                                            const admin::SetPolicyRequest& request) {
  return call(invocation, &AdminStub::SetPolicy, request);
}

Result<admin::GetPolicyResponse> call_admin(Invocation& invocation,
                                            const admin::GetPolicyRequest& request) {
  return call(invocation, &AdminStub::GetPolicy, request);
}

Result<admin::BreakGlassResponse> call_admin(Invocation& invocation,
                                             const admin::BreakGlassRequest& request) {
  return call(invocation, &AdminStub::BreakGlass, request);
}

Result<admin::CreateTokenResponse> call_admin(Invocation& invocation,
                                              const admin::CreateTokenRequest& request) {
  return call(invocation, &AdminStub::CreateToken, request);
}

Result<admin::ListTokensResponse> call_admin(Invocation& invocation,
                                             const admin::ListTokensRequest& request) {
  return call(invocation, &AdminStub::ListTokens, request);
}

Result<admin::RevokeTokenResponse> call_admin(Invocation& invocation,
                                              const admin::RevokeTokenRequest& request) {
  return call(invocation, &AdminStub::RevokeToken, request);
}

Result<admin::VerifyAuditResponse> call_admin(Invocation& invocation,
                                              const admin::VerifyAuditRequest& request) {
  return call(invocation, &AdminStub::VerifyAudit, request, kLong);
}

Result<admin::CollectResponse> call_admin(Invocation& invocation,
                                          const admin::CollectRequest& request) {
  return call(invocation, &AdminStub::Collect, request, kLong);
}

Result<admin::ScrubResponse> call_admin(Invocation& invocation,
                                        const admin::ScrubRequest& request) {
  return call(invocation, &AdminStub::Scrub, request, kScrub);
}

Result<admin::ImportBundleResponse> call_admin(Invocation& invocation,
                                               const admin::ImportBundleRequest& request) {
  return call(invocation, &AdminStub::ImportBundle, request, kLong);
}

Result<admin::DecommissionResponse> call_admin(Invocation& invocation,
                                               const admin::DecommissionRequest& request) {
  return call(invocation, &AdminStub::Decommission, request);
}

Result<void> tail_audit(Invocation& invocation,
                        const admin::TailAuditRequest& request,
                        const std::function<void(const admin::AuditRecord&)>& each) {
  auto channel = connect_socket(invocation.admin_socket);
  if (!channel) {
    return channel.error();
  }
  grpc::ClientContext context;
  const auto stub = admin::AdminService::NewStub(*channel);
  const auto reader = stub->TailAudit(&context, request);
  admin::AuditRecord record;
  while (reader->Read(&record)) {
    each(record);
  }
  const grpc::Status status = reader->Finish();
  return status.ok() ? Result<void>{} : to_error(status, invocation.admin_socket);
}

Result<void> export_audit(Invocation& invocation,
                          const admin::ExportAuditRequest& request,
                          const std::function<Result<void>(const std::string&)>& each) {
  auto channel = connect_socket(invocation.admin_socket);
  if (!channel) {
    return channel.error();
  }
  grpc::ClientContext context;
  const auto stub = admin::AdminService::NewStub(*channel);
  const auto reader = stub->ExportAudit(&context, request);
  admin::ExportAuditChunk chunk;
  Result<void> taken;
  while (taken && reader->Read(&chunk)) {
    taken = each(chunk.data());
  }
  if (!taken) {
    context.TryCancel();
  }
  const grpc::Status status = reader->Finish();
  if (taken && !status.ok()) {
    return to_error(status, invocation.admin_socket);
  }
  return taken;
}

}  // namespace skerry::cli
