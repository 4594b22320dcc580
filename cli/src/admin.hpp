#pragma once

// The administration socket as plain calls, one overload per request of skerry.admin.v1: connect,
// deadline, call, error. gRPC itself is included only by admin.cpp. All block; all fail with
// kUnavailable and what to check when no daemon listens.

#include <chrono>
#include <functional>
#include <string>

#include "skerry/admin/v1/admin.pb.h"

#include "invocation.hpp"

namespace skerry::cli {

namespace admin = ::skerry::admin::v1;

Result<admin::GetStatusResponse> call_admin(Invocation&, const admin::GetStatusRequest&);
Result<admin::ListSlotsResponse> call_admin(Invocation&, const admin::ListSlotsRequest&);
Result<admin::RollbackResponse> call_admin(Invocation&, const admin::RollbackRequest&);
Result<admin::ClearQuarantineResponse> call_admin(Invocation&,
                                                  const admin::ClearQuarantineRequest&);
Result<admin::CanIResponse> call_admin(Invocation&, const admin::CanIRequest&);
Result<admin::SetPolicyResponse> call_admin(Invocation&, const admin::SetPolicyRequest&);
Result<admin::GetPolicyResponse> call_admin(Invocation&, const admin::GetPolicyRequest&);
Result<admin::BreakGlassResponse> call_admin(Invocation&, const admin::BreakGlassRequest&);
Result<admin::CreateTokenResponse> call_admin(Invocation&, const admin::CreateTokenRequest&);
Result<admin::ListTokensResponse> call_admin(Invocation&, const admin::ListTokensRequest&);
Result<admin::RevokeTokenResponse> call_admin(Invocation&, const admin::RevokeTokenRequest&);
Result<admin::VerifyAuditResponse> call_admin(Invocation&, const admin::VerifyAuditRequest&);
Result<admin::CollectResponse> call_admin(Invocation&, const admin::CollectRequest&);
Result<admin::ScrubResponse> call_admin(Invocation&, const admin::ScrubRequest&);
Result<admin::ImportBundleResponse> call_admin(Invocation&, const admin::ImportBundleRequest&);
Result<admin::DecommissionResponse> call_admin(Invocation&, const admin::DecommissionRequest&);

// Calls `each` for every record until the log ends, or for ever with `follow`.
Result<void> tail_audit(Invocation& invocation,
                        const admin::TailAuditRequest& request,
                        const std::function<void(const admin::AuditRecord&)>& each);
// Calls `each` for every piece of the archive; its failure ends the export and is returned.
Result<void> export_audit(Invocation& invocation,
                          const admin::ExportAuditRequest& request,
                          const std::function<Result<void>(const std::string&)>& each);

// Calls `each` for every signed part of the report; its failure ends the export and is returned.
Result<void> export_report(Invocation& invocation,
                           const std::function<Result<void>(const std::string&)>& each);

// "acme/log-triage 1.2.0 q4_k_m"; "-" for none.
std::string model_text(const ::skerry::models::v1::Model& model);

}  // namespace skerry::cli
