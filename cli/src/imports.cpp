#include "imports.hpp"

#include "skerry/admin/v1/imports.grpc.pb.h"
#include "skerry/registry/import_names.hpp"

#include "remote.hpp"

namespace skerry::cli {
namespace {

using ImportStub = imports::ImportService::Stub;

// Hashing and admission of a whole model; a gate on a slow machine.
constexpr std::chrono::hours kImportLong{6};

}  // namespace

Result<imports::PlanImportResponse> call_imports(Invocation& invocation,
                                                 const imports::PlanImportRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Plan, request, kImportLong);
}

Result<imports::CatalogueModel> call_imports(Invocation& invocation,
                                             const imports::CommitImportRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Commit, request, kImportLong);
}

Result<imports::ListCatalogueResponse> call_imports(Invocation& invocation,
                                                    const imports::ListCatalogueRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::List, request);
}

Result<imports::GetManifestResponse> call_imports(Invocation& invocation,
                                                  const imports::GetManifestRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::GetManifest, request);
}

Result<imports::SlotStatus> call_imports(Invocation& invocation,
                                         const imports::ActivateImportRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Activate, request, kImportLong);
}

Result<imports::CatalogueModel> call_imports(Invocation& invocation,
                                             const imports::RemoveImportRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Remove, request);
}

Result<imports::CatalogueModel> call_imports(Invocation& invocation,
                                             const imports::PinModelRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Pin, request);
}

Result<imports::CatalogueModel> call_imports(Invocation& invocation,
                                             const imports::UnpinModelRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Unpin, request);
}

std::string registry_reference(const std::string& text) {
  const bool whole = text.find('/') != std::string::npos || text.starts_with("sha256:");
  return whole ? text : std::string{registry::kLocalTeam} + "/" + text;
}

Result<imports::CatalogueModel> vouch_model(Invocation& invocation,
                                            const imports::VouchRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::Vouch, request);
}

Result<imports::CatalogueModel> revoke_vouch(Invocation& invocation,
                                             const imports::VouchRequest& request) {
  return call_socket(invocation.admin_socket, &ImportStub::RevokeVouch, request);
}

Result<void> put_blob(Invocation& invocation,
                      const std::string& model,
                      const ImportBlob& blob,
                      const std::function<void(std::uint64_t)>& sent) {
  auto channel = connect_socket(invocation.admin_socket);
  if (!channel) {
    return channel.error();
  }
  auto file = blob.file.open();
  if (!file) {
    return file.error().with_context(blob.file.path);
  }
  const auto stub = imports::ImportService::NewStub(*channel);
  grpc::ClientContext context;
  context.AddMetadata("skerry-model", model);
  imports::PutBlobResponse response;
  const auto writer = stub->PutBlob(&context, &response);
  imports::PutBlobRequest request;
  request.mutable_header()->set_digest(blob.digest.to_string());
  request.mutable_header()->set_size(blob.index.size());
  request.mutable_header()->set_chunk_size(blob.index.chunk_size());
  request.mutable_header()->set_chunk_index(std::string{as_text(blob.index.serialise())});
  // A write fails when the daemon ended the call; its status says why.
  bool open = writer->Write(request);
  Result<void> read;
  for (std::uint64_t chunk = 0; open && read && chunk < blob.index.count(); ++chunk) {
    std::string& bytes = *request.mutable_chunk();
    bytes.resize(blob.index.length_of(chunk));
    const auto got =
        (*file)->read_at(blob.index.offset_of(chunk),
                         // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
                         {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
    if (!got || *got != bytes.size()) {
      read =
          got ? Error{Error::Code::kSizeMismatch, blob.file.path + " became shorter"} : got.error();
      break;
    }
    open = writer->Write(request);
    sent(bytes.size());
  }
  if (!read) {
    context.TryCancel();
  }
  (void)writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!read) {
    return read;
  }
  return status.ok() ? Result<void>{}
                     : to_error(status, invocation.admin_socket).with_context(blob.file.path);
}

Result<void> read_blob(Invocation& invocation,
                       const imports::ReadBlobRequest& request,
                       const std::function<Result<void>(const std::string&)>& take) {
  const auto each = [&take](const imports::BlobPiece& piece) { return take(piece.data()); };
  return read_socket(invocation.admin_socket, &ImportStub::ReadBlob, request, each);
}

}  // namespace skerry::cli
