#pragma once

// skerry.admin.v1.ImportService, served on admin.sock alone.

#include "skerry/admin/v1/imports.grpc.pb.h"
#include "skerry/agent/import_administration.hpp"
#include "skerry/agent/peer_table.hpp"

namespace skerry::agent {

class ImportsGrpc final : public skerry::admin::v1::ImportService::CallbackService {
 public:
  ImportsGrpc(Core& core,
              const PeerTable& peers,
              ImportAdministration& administration,
              const ModelHost& host)
      : core_(core), peers_(peers), administration_(administration), host_(host) {}

  grpc::ServerUnaryReactor* Plan(grpc::CallbackServerContext* context,
                                 const skerry::admin::v1::PlanImportRequest* request,
                                 skerry::admin::v1::PlanImportResponse* response) override;
  grpc::ServerReadReactor<skerry::admin::v1::PutBlobRequest>* PutBlob(
      grpc::CallbackServerContext* context, skerry::admin::v1::PutBlobResponse* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context,
                                   const skerry::admin::v1::CommitImportRequest* request,
                                   skerry::admin::v1::CatalogueModel* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const skerry::admin::v1::ListCatalogueRequest* request,
                                 skerry::admin::v1::ListCatalogueResponse* response) override;
  grpc::ServerUnaryReactor* GetManifest(grpc::CallbackServerContext* context,
                                        const skerry::admin::v1::GetManifestRequest* request,
                                        skerry::admin::v1::GetManifestResponse* response) override;
  grpc::ServerWriteReactor<skerry::admin::v1::BlobPiece>* ReadBlob(
      grpc::CallbackServerContext* context,
      const skerry::admin::v1::ReadBlobRequest* request) override;
  grpc::ServerUnaryReactor* Vouch(grpc::CallbackServerContext* context,
                                  const skerry::admin::v1::VouchRequest* request,
                                  skerry::admin::v1::CatalogueModel* response) override;
  grpc::ServerUnaryReactor* RevokeVouch(grpc::CallbackServerContext* context,
                                        const skerry::admin::v1::VouchRequest* request,
                                        skerry::admin::v1::CatalogueModel* response) override;
  grpc::ServerUnaryReactor* Activate(grpc::CallbackServerContext* context,
                                     const skerry::admin::v1::ActivateImportRequest* request,
                                     skerry::admin::v1::SlotStatus* response) override;
  grpc::ServerUnaryReactor* Remove(grpc::CallbackServerContext* context,
                                   const skerry::admin::v1::RemoveImportRequest* request,
                                   skerry::admin::v1::CatalogueModel* response) override;
  grpc::ServerUnaryReactor* Pin(grpc::CallbackServerContext* context,
                                const skerry::admin::v1::PinModelRequest* request,
                                skerry::admin::v1::CatalogueModel* response) override;
  grpc::ServerUnaryReactor* Unpin(grpc::CallbackServerContext* context,
                                  const skerry::admin::v1::UnpinModelRequest* request,
                                  skerry::admin::v1::CatalogueModel* response) override;

 private:
  Core& core_;
  const PeerTable& peers_;
  ImportAdministration& administration_;
  const ModelHost& host_;
};

}  // namespace skerry::agent
