// The administrators' call for bundles.

#include <utility>

#include "skerry/agent/bundle_import.hpp"

#include "admin_grpc.hpp"
#include "call.hpp"

namespace skerry::agent {
namespace admin_pb = skerry::admin::v1;

grpc::ServerUnaryReactor* AdminGrpc::ImportBundle(grpc::CallbackServerContext* context,
                                                  const admin_pb::ImportBundleRequest* request,
                                                  admin_pb::ImportBundleResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.import_bundle",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     std::filesystem::path folder(request->folder());
                     Result<BundleImport::Outcome> done =
                         co_await administration_.parts().bundles.run(
                             std::move(caller), std::move(folder), request->check_only());
                     if (!done) {
                       co_return to_status(done.error());
                     }
                     response->set_id(done->id);
                     response->set_sequence(done->sequence);
                     response->set_bytes(done->bytes);
                     for (const BundleImport::SlotOutcome& slot : done->slots) {
                       admin_pb::BundleSlot* out = response->add_slots();
                       out->set_slot(slot.slot);
                       out->set_target(slot.target);
                       out->set_manifest_digest(slot.manifest_digest);
                       out->set_generation(slot.generation);
                       out->set_offered_before(slot.offered_before);
                     }
                     for (const std::string& remark : done->remarks) {
                       response->add_remarks(remark);
                     }
                     co_return grpc::Status::OK;
                   });
}

}  // namespace skerry::agent
