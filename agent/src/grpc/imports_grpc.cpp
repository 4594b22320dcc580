#include "imports_grpc.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"

#include "blob_upload.hpp"
#include "call.hpp"
#include "file_stream.hpp"
#include "model_text.hpp"

namespace skerry::agent {
namespace {

namespace imports_pb = skerry::admin::v1;

void fill_entry(const CatalogueEntry& entry, imports_pb::CatalogueModel* out) {
  out->set_name(entry.name());
  out->set_version(entry.version());
  out->set_manifest_digest(entry.manifest.digest.to_string());
  out->set_state(std::string{entry.state()});
  out->set_signature(entry.signature);
  std::uint64_t bytes = 0;
  for (const registry::ManifestFile& file : entry.manifest.manifest.all_files()) {
    bytes += file.size;
  }
  out->set_size_bytes(bytes);
  for (const registry::Variant& variant : entry.manifest.manifest.variants) {
    out->add_variants(variant.name);
  }
  for (const std::string& slot : entry.slots) {
    out->add_slots(slot);
  }
  for (const registry::Pin& pin : entry.pins) {
    imports_pb::ModelPin& row = *out->add_pins();
    row.set_variant(pin.variant);
    row.set_reason(pin.reason);
  }
  if (!entry.import) {
    return;
  }
  out->set_format(entry.import->format);
  out->set_source(entry.import->source);
  out->set_imported_by(entry.import->imported_by);
  out->set_imported_at_unix_ms(unix_ms(entry.import->imported_at));
  for (const registry::Vouch& vouch : entry.import->vouches) {
    imports_pb::ModelVouch& row = *out->add_vouches();
    row.set_kind(std::string{to_string(vouch.kind)});
    row.set_who(vouch.who);
    row.set_reason(vouch.reason);
    row.set_at_unix_ms(unix_ms(vouch.at));
    if (vouch.revoked_at) {
      row.set_revoked_at_unix_ms(unix_ms(*vouch.revoked_at));
    }
    row.set_revoked_by(vouch.revoked_by);
    row.set_revoked_reason(vouch.revoked_reason);
  }
}

grpc::Status answer(const Result<CatalogueEntry>& entry, imports_pb::CatalogueModel* out) {
  if (!entry) {
    return to_status(entry.error());
  }
  fill_entry(*entry, out);
  return grpc::Status::OK;
}

Task<void> start_upload(Core& core,
                        ImportAdministration& administration,
                        Caller caller,
                        std::string model,
                        BlobUpload* upload) {
  Result<void> allowed = Error(Error::Code::kCancelled, "the daemon is stopping");
  try {
    allowed = co_await administration.may_upload(std::move(caller), std::move(model));
  } catch (...) {
    upload->refuse(to_status(allowed.error()));
    throw;
  }
  if (allowed) {
    upload->begin(core.transfer());
  } else {
    upload->refuse(to_status(allowed.error()));
  }
}

Task<grpc::Status> send_blob(Core& core,
                             registry::BlobStore& store,
                             registry::WantedBlob wanted,
                             std::shared_ptr<StreamWriter<imports_pb::BlobPiece>> writer) {
  auto open = [&store, wanted] { return store.open_verified(wanted); };
  Result<registry::OpenBlob> opened = co_await async::offload(core.disk, std::move(open));
  if (!opened) {
    co_return to_status(opened.error());
  }
  std::shared_ptr<File> file = std::move(opened->file);
  co_return co_await stream_file(core, std::move(file), wanted.size, std::move(writer));
}

Task<void> run_read_blob(Core& core,
                         ImportAdministration& administration,
                         Caller caller,
                         imports_pb::ReadBlobRequest request,
                         std::shared_ptr<StreamWriter<imports_pb::BlobPiece>> writer) {
  grpc::Status status(grpc::StatusCode::CANCELLED, "the daemon is stopping");
  try {
    Result<CatalogueEntry> entry = co_await administration.find(std::move(caller), request.model());
    if (!entry) {
      status = to_status(entry.error());
    } else {
      // Only what the model names: a digest alone opens nothing.
      const std::vector<registry::ManifestFile> files = entry->manifest.manifest.all_files();
      const auto file = std::find_if(files.begin(), files.end(), [&](const auto& one) {
        return one.digest.to_string() == request.digest();
      });
      if (file == files.end()) {
        status = to_status(Error(Error::Code::kNotFound, "the model has no such file"));
      } else {
        registry::WantedBlob wanted = registry::WantedBlob::from(*file);
        status = co_await send_blob(core, administration.imports().store(), wanted, writer);
      }
    }
  } catch (const std::exception&) {
    // Cancelled: the stream ends with the status above.
  }
  writer->end(status);
}

}  // namespace

grpc::ServerUnaryReactor* ImportsGrpc::Plan(grpc::CallbackServerContext* context,
                                            const imports_pb::PlanImportRequest* request,
                                            imports_pb::PlanImportResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.plan",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<ModelImports::Plan> plan =
                         co_await administration_.plan(std::move(caller), request->manifest());
                     if (!plan) {
                       co_return to_status(plan.error());
                     }
                     response->set_manifest_digest(plan->manifest.digest.to_string());
                     response->set_known(plan->known);
                     for (const registry::WantedBlob& blob : plan->missing) {
                       response->add_missing(blob.digest.to_string());
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerReadReactor<imports_pb::PutBlobRequest>* ImportsGrpc::PutBlob(
    grpc::CallbackServerContext* context, imports_pb::PutBlobResponse* response) {
  auto* upload = new BlobUpload(administration_.imports(), response);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    upload->refuse(to_status(caller.error()));
    return upload;
  }
  std::string model;
  if (const auto named = context->client_metadata().find("skerry-model");
      named != context->client_metadata().end()) {
    model.assign(named->second.data(), named->second.size());
  }
  boost::asio::post(
      core_.control,
      [this, upload, caller = *std::move(caller), model = std::move(model)]() mutable {
        core_.tasks.spawn(
            "import.put_blob",
            start_upload(core_, administration_, std::move(caller), std::move(model), upload));
      });
  return upload;
}

grpc::ServerUnaryReactor* ImportsGrpc::Commit(grpc::CallbackServerContext* context,
                                              const imports_pb::CommitImportRequest* request,
                                              imports_pb::CatalogueModel* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "import.commit",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        Result<CatalogueEntry> entry = co_await administration_.commit(
            std::move(caller), request->manifest(), request->source(), request->format());
        co_return answer(entry, response);
      });
}

grpc::ServerUnaryReactor* ImportsGrpc::List(grpc::CallbackServerContext* context,
                                            const imports_pb::ListCatalogueRequest*,
                                            imports_pb::ListCatalogueResponse* response) {
  return run_unary(
      core_, peers_, context, "import.list", [this, response](Caller caller) -> Task<grpc::Status> {
        Result<std::vector<CatalogueEntry>> entries =
            co_await administration_.list(std::move(caller));
        if (!entries) {
          co_return to_status(entries.error());
        }
        for (const CatalogueEntry& entry : *entries) {
          fill_entry(entry, response->add_models());
        }
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* ImportsGrpc::GetManifest(grpc::CallbackServerContext* context,
                                                   const imports_pb::GetManifestRequest* request,
                                                   imports_pb::GetManifestResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.get_manifest",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<CatalogueEntry> entry =
                         co_await administration_.find(std::move(caller), request->model());
                     if (!entry) {
                       co_return to_status(entry.error());
                     }
                     response->set_manifest(entry->manifest.bytes);
                     fill_entry(*entry, response->mutable_model());
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerWriteReactor<imports_pb::BlobPiece>* ImportsGrpc::ReadBlob(
    grpc::CallbackServerContext* context, const imports_pb::ReadBlobRequest* request) {
  auto writer = StreamWriter<imports_pb::BlobPiece>::make(core_);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    writer->end(to_status(caller.error()));
    return writer.get();
  }
  boost::asio::post(
      core_.control, [this, writer, request = *request, caller = *std::move(caller)]() mutable {
        core_.tasks.spawn(
            "import.read_blob",
            run_read_blob(core_, administration_, std::move(caller), std::move(request), writer));
      });
  return writer.get();
}

grpc::ServerUnaryReactor* ImportsGrpc::Vouch(grpc::CallbackServerContext* context,
                                             const imports_pb::VouchRequest* request,
                                             imports_pb::CatalogueModel* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.vouch",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<CatalogueEntry> entry = co_await administration_.vouch(
                         std::move(caller), request->model(), request->reason(), request->bundle());
                     co_return answer(entry, response);
                   });
}

grpc::ServerUnaryReactor* ImportsGrpc::RevokeVouch(grpc::CallbackServerContext* context,
                                                   const imports_pb::VouchRequest* request,
                                                   imports_pb::CatalogueModel* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.revoke_vouch",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<CatalogueEntry> entry = co_await administration_.revoke(
                         std::move(caller), request->model(), request->reason());
                     co_return answer(entry, response);
                   });
}

grpc::ServerUnaryReactor* ImportsGrpc::Activate(grpc::CallbackServerContext* context,
                                                const imports_pb::ActivateImportRequest* request,
                                                imports_pb::SlotStatus* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.activate",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<SlotView> view = co_await administration_.activate(
                         std::move(caller), request->model(), request->slot());
                     if (!view) {
                       co_return to_status(view.error());
                     }
                     fill_slot(host_, *view, nullptr, response);
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* ImportsGrpc::Remove(grpc::CallbackServerContext* context,
                                              const imports_pb::RemoveImportRequest* request,
                                              imports_pb::CatalogueModel* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "import.remove",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<CatalogueEntry> entry =
                         co_await administration_.remove(std::move(caller), request->model());
                     co_return answer(entry, response);
                   });
}

grpc::ServerUnaryReactor* ImportsGrpc::Pin(grpc::CallbackServerContext* context,
                                           const imports_pb::PinModelRequest* request,
                                           imports_pb::CatalogueModel* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "registry.pin",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        Result<CatalogueEntry> entry = co_await administration_.pin(
            std::move(caller), request->model(), request->variant(), request->reason());
        co_return answer(entry, response);
      });
}

grpc::ServerUnaryReactor* ImportsGrpc::Unpin(grpc::CallbackServerContext* context,
                                             const imports_pb::UnpinModelRequest* request,
                                             imports_pb::CatalogueModel* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "registry.unpin",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<CatalogueEntry> entry = co_await administration_.unpin(
                         std::move(caller), request->model(), request->variant());
                     co_return answer(entry, response);
                   });
}

}  // namespace skerry::agent
