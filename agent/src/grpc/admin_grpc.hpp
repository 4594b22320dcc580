#pragma once

// skerry.admin.v1.AdminService, served on admin.sock alone.

#include <functional>

#include "skerry/admin/v1/admin.grpc.pb.h"
#include "skerry/agent/administration.hpp"
#include "skerry/agent/grpc_front.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/agent/peer_table.hpp"

namespace skerry::agent {

class AdminGrpc final : public skerry::admin::v1::AdminService::CallbackService {
 public:
  AdminGrpc(Core& core,
            const PeerTable& peers,
            Administration& administration,
            StatusSources sources)
      : core_(core), peers_(peers), administration_(administration), sources_(std::move(sources)) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const skerry::admin::v1::GetStatusRequest* request,
                                      skerry::admin::v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListSlots(grpc::CallbackServerContext* context,
                                      const skerry::admin::v1::ListSlotsRequest* request,
                                      skerry::admin::v1::ListSlotsResponse* response) override;
  grpc::ServerUnaryReactor* Rollback(grpc::CallbackServerContext* context,
                                     const skerry::admin::v1::RollbackRequest* request,
                                     skerry::admin::v1::RollbackResponse* response) override;
  grpc::ServerUnaryReactor* ClearQuarantine(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::ClearQuarantineRequest* request,
      skerry::admin::v1::ClearQuarantineResponse* response) override;
  grpc::ServerUnaryReactor* CanI(grpc::CallbackServerContext* context,
                                 const skerry::admin::v1::CanIRequest* request,
                                 skerry::admin::v1::CanIResponse* response) override;
  grpc::ServerUnaryReactor* SetPolicy(grpc::CallbackServerContext* context,
                                      const skerry::admin::v1::SetPolicyRequest* request,
                                      skerry::admin::v1::SetPolicyResponse* response) override;
  grpc::ServerUnaryReactor* GetPolicy(grpc::CallbackServerContext* context,
                                      const skerry::admin::v1::GetPolicyRequest* request,
                                      skerry::admin::v1::GetPolicyResponse* response) override;
  grpc::ServerUnaryReactor* BreakGlass(grpc::CallbackServerContext* context,
                                       const skerry::admin::v1::BreakGlassRequest* request,
                                       skerry::admin::v1::BreakGlassResponse* response) override;
  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* context,
                                        const skerry::admin::v1::CreateTokenRequest* request,
                                        skerry::admin::v1::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const skerry::admin::v1::ListTokensRequest* request,
                                       skerry::admin::v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* context,
                                        const skerry::admin::v1::RevokeTokenRequest* request,
                                        skerry::admin::v1::RevokeTokenResponse* response) override;
  grpc::ServerWriteReactor<skerry::admin::v1::AuditRecord>* TailAudit(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::TailAuditRequest* request) override;
  grpc::ServerUnaryReactor* VerifyAudit(grpc::CallbackServerContext* context,
                                        const skerry::admin::v1::VerifyAuditRequest* request,
                                        skerry::admin::v1::VerifyAuditResponse* response) override;
  grpc::ServerWriteReactor<skerry::admin::v1::ExportAuditChunk>* ExportAudit(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::ExportAuditRequest* request) override;
  grpc::ServerWriteReactor<skerry::admin::v1::ExportReportPart>* ExportReport(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::ExportReportRequest* request) override;
  grpc::ServerUnaryReactor* Collect(grpc::CallbackServerContext* context,
                                    const skerry::admin::v1::CollectRequest* request,
                                    skerry::admin::v1::CollectResponse* response) override;
  grpc::ServerUnaryReactor* Scrub(grpc::CallbackServerContext* context,
                                  const skerry::admin::v1::ScrubRequest* request,
                                  skerry::admin::v1::ScrubResponse* response) override;
  grpc::ServerUnaryReactor* ImportBundle(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::ImportBundleRequest* request,
      skerry::admin::v1::ImportBundleResponse* response) override;
  grpc::ServerUnaryReactor* Decommission(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::DecommissionRequest* request,
      skerry::admin::v1::DecommissionResponse* response) override;

 private:
  Task<grpc::Status> fill_slots(
      google::protobuf::RepeatedPtrField<skerry::admin::v1::SlotStatus>* out);

  Core& core_;
  const PeerTable& peers_;
  Administration& administration_;
  StatusSources sources_;
};

void fill_break_glass(const BreakGlass::View& view,
                      bool active,
                      skerry::admin::v1::BreakGlassStatus* out);

}  // namespace skerry::agent
