#include "admin.hpp"

#include "skerry/admin/v1/admin.grpc.pb.h"

#include "remote.hpp"

namespace skerry::cli {
namespace {

using AdminStub = admin::AdminService::Stub;

// Unloading and loading a model, or reading a whole log or store.
constexpr std::chrono::minutes kLong{10};
// Reading the whole store again, at the rate that was asked for.
constexpr std::chrono::hours kScrub{48};

}  // namespace

Result<admin::GetStatusResponse> call_admin(Invocation& invocation,
                                            const admin::GetStatusRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::GetStatus, request);
}

Result<admin::ListSlotsResponse> call_admin(Invocation& invocation,
                                            const admin::ListSlotsRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::ListSlots, request);
}

Result<admin::RollbackResponse> call_admin(Invocation& invocation,
                                           const admin::RollbackRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::Rollback, request, kLong);
}

Result<admin::ClearQuarantineResponse> call_admin(Invocation& invocation,
                                                  const admin::ClearQuarantineRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::ClearQuarantine, request);
}

Result<admin::CanIResponse> call_admin(Invocation& invocation, const admin::CanIRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::CanI, request);
}

Result<admin::SetPolicyResponse> call_admin(Invocation& invocation,
                                            const admin::SetPolicyRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::SetPolicy, request);
}

Result<admin::GetPolicyResponse> call_admin(Invocation& invocation,
                                            const admin::GetPolicyRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::GetPolicy, request);
}

Result<admin::BreakGlassResponse> call_admin(Invocation& invocation,
                                             const admin::BreakGlassRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::BreakGlass, request);
}

Result<admin::CreateTokenResponse> call_admin(Invocation& invocation,
                                              const admin::CreateTokenRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::CreateToken, request);
}

Result<admin::ListTokensResponse> call_admin(Invocation& invocation,
                                             const admin::ListTokensRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::ListTokens, request);
}

Result<admin::RevokeTokenResponse> call_admin(Invocation& invocation,
                                              const admin::RevokeTokenRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::RevokeToken, request);
}

Result<admin::VerifyAuditResponse> call_admin(Invocation& invocation,
                                              const admin::VerifyAuditRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::VerifyAudit, request, kLong);
}

Result<admin::CollectResponse> call_admin(Invocation& invocation,
                                          const admin::CollectRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::Collect, request, kLong);
}

Result<admin::ScrubResponse> call_admin(Invocation& invocation,
                                        const admin::ScrubRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::Scrub, request, kScrub);
}

Result<admin::ImportBundleResponse> call_admin(Invocation& invocation,
                                               const admin::ImportBundleRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::ImportBundle, request, kLong);
}

Result<admin::DecommissionResponse> call_admin(Invocation& invocation,
                                               const admin::DecommissionRequest& request) {
  return call_socket(invocation.admin_socket, &AdminStub::Decommission, request);
}

Result<void> tail_audit(Invocation& invocation,
                        const admin::TailAuditRequest& request,
                        const std::function<void(const admin::AuditRecord&)>& each) {
  const auto take = [&each](const admin::AuditRecord& record) -> Result<void> {
    each(record);
    return {};
  };
  return read_socket(invocation.admin_socket, &AdminStub::TailAudit, request, take);
}

Result<void> export_audit(Invocation& invocation,
                          const admin::ExportAuditRequest& request,
                          const std::function<Result<void>(const std::string&)>& each) {
  const auto take = [&each](const admin::ExportAuditChunk& chunk) { return each(chunk.data()); };
  return read_socket(invocation.admin_socket, &AdminStub::ExportAudit, request, take);
}

Result<void> export_report(Invocation& invocation,
                           const std::function<Result<void>(const std::string&)>& each) {
  const admin::ExportReportRequest request;
  const auto take = [&each](const admin::ExportReportPart& part) {
    return each(part.signed_report());
  };
  return read_socket(invocation.admin_socket, &AdminStub::ExportReport, request, take);
}

}  // namespace skerry::cli
