#include "admin_grpc.hpp"

#include <utility>

#include "skerry/async/offload.hpp"

#include "call.hpp"
#include "model_text.hpp"

namespace skerry::agent {
namespace admin_pb = skerry::admin::v1;
using security::Verb;
namespace {

void fill_link(const StatusSources& sources, admin_pb::LinkStatus& out) {
  LinkState link = sources.link();
  out.set_metered(link.metered);
  out.set_day_bytes(link.day_bytes);
  out.set_day_limit_bytes(link.day_limit);
  out.set_month_bytes(link.month_bytes);
  out.set_month_limit_bytes(link.month_limit);
  out.set_held_back(std::move(link.held_back));
  out.set_served_to_peers_bytes(sources.served_to_peers());
}

void fill_prefix_disk(const PrefixDiskGauges& disk, admin_pb::PrefixDiskStatus& out) {
  out.set_bytes(disk.bytes);
  out.set_limit_bytes(disk.limit);
  out.set_states(disk.states);
  out.set_pinned(disk.pinned);
  out.set_hits(disk.hits);
  out.set_misses(disk.misses);
  out.set_saved(disk.saved);
  out.set_dropped(disk.dropped);
  out.set_resting(disk.resting);
}

}  // namespace

Task<grpc::Status> AdminGrpc::fill_slots(
    google::protobuf::RepeatedPtrField<admin_pb::SlotStatus>* out) {
  registry::Catalogue& catalogue = administration_.parts().catalogue;
  auto read = [&catalogue] { return catalogue.list_slots(); };
  Result<std::vector<registry::Slot>> stored = co_await async::offload(core_.disk, std::move(read));
  if (!stored) {
    co_return to_status(stored.error());
  }
  for (const SlotView& view : administration_.parts().slots.views()) {
    const registry::Slot* slot = nullptr;
    for (const registry::Slot& candidate : *stored) {
      if (candidate.name.str() == view.slot) {
        slot = &candidate;
      }
    }
    admin_pb::SlotStatus* filled = out->Add();
    fill_slot(administration_.parts().host, view, slot, filled);
    if (const ServedModelPtr active = administration_.parts().host.in_slot(view.slot)) {
      filled->set_revocation(
          sources_.security->revocation_of(*active->manifest, active->variant.name));
    }
  }
  co_return grpc::Status::OK;
}

grpc::ServerUnaryReactor* AdminGrpc::GetStatus(grpc::CallbackServerContext* context,
                                               const admin_pb::GetStatusRequest*,
                                               admin_pb::GetStatusResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.status",
                   [this, response](Caller caller) -> Task<grpc::Status> {
                     Administration::Parts& parts = administration_.parts();
                     Result<void> allowed = co_await parts.access.authorise_read(
                         std::move(caller), Verb::kAdminStatus, "admin.status");
                     if (!allowed) {
                       co_return to_status(allowed.error());
                     }
                     response->set_version(SKERRY_VERSION);
                     response->set_started_at_unix_ms(unix_ms(sources_.started_at));
                     response->set_ready_us(static_cast<std::uint64_t>(sources_.ready().count()));
                     grpc::Status filled = co_await fill_slots(response->mutable_slots());
                     if (!filled.ok()) {
                       co_return filled;
                     }
                     for (const ModelHost::Loaded& loaded : parts.host.loaded()) {
                       admin_pb::WorkerStatus& out = *response->add_workers();
                       const runtime::WorkerStatus status = loaded.model->status();
                       const runtime::ModelInfo& info = loaded.model->info();
                       out.set_model(loaded.served->name());
                       out.set_model_digest(loaded.served->weights.to_string());
                       out.set_plugin(info.plugin);
                       out.set_engine_version(info.engine_version);
                       out.set_pid(status.pid);
                       out.set_state(std::string(to_string(status.state)));
                       out.set_resident_bytes(status.resident_bytes);
                       out.set_restarts(status.unclean_exits);
                       out.set_running_requests(status.in_flight);
                       out.set_threads(status.threads);
                       out.set_most_threads(status.most_threads);
                       out.set_other_cores(status.other_cores);
                       out.set_cpu_state(status.cpu_state);
                       fill_prompts(parts.host.prompts(*loaded.served),
                                    out.mutable_pinned_prompts());
                       for (const security::LayerOutcome& layer : info.sandbox.layers) {
                         (*out.mutable_sandbox())[std::string(to_string(layer.layer))] =
                             (layer.achieved ? "enforced" : "unavailable") +
                             (layer.detail.empty() ? "" : ": " + layer.detail);
                       }
                     }
                     for (const upstream::EndpointView& view : sources_.upstreams()) {
                       admin_pb::UpstreamStatus& server = *response->add_upstreams();
                       server.set_name(view.name);
                       server.set_server(view.server);
                       server.set_tier(view.tier);
                       server.set_state(view.state);
                       server.set_problem(view.problem);
                       server.set_running_requests(view.in_flight);
                       server.set_max_concurrent(view.most);
                       server.set_answered(view.answered);
                       server.set_failed(view.failed);
                     }
                     const SyncState sync = sources_.sync();
                     const OutboxStatus outbox = sources_.outbox();
                     admin_pb::SyncStatus& out = *response->mutable_sync();
                     out.set_enrolled(sync.enrolled);
                     out.set_device_id(sync.device_id);
                     out.set_controller(sync.controller);
                     out.set_state(sync.state);
                     out.set_last_contact_unix_ms(unix_ms(sync.last_contact));
                     out.set_last_error(sync.last_error);
                     out.set_outbox_records(outbox.records);
                     out.set_outbox_bytes(outbox.bytes);
                     out.set_certificate_expires_unix_ms(unix_ms(sync.certificate_expires));
                     out.set_protocol_version(sync.protocol_version);
                     response->set_policy_version(std::to_string(parts.access.policy()->version()));
                     const security::AuditStatus audit = parts.audit.log().status();
                     response->set_audit_size(audit.size);
                     response->set_audit_root(parts.audit.log().checkpoint().root.to_string());
                     response->set_memory_budget_bytes(parts.host.budget());
                     response->set_memory_used_bytes(parts.host.used());
                     DeviceTime::State clock = sources_.clock();
                     response->set_clock_state(std::move(clock.word));
                     response->set_clock_detail(std::move(clock.detail));
                     response->set_storage_encryption(core_.settings->storage().encryption);
                     response->set_unconverted_blobs(parts.maintenance.unconverted());
                     response->set_resident_bytes(process_use().resident);
                     response->set_policy_source(std::string(parts.access.source()));
                     for (const auto& document : sources_.security->views()) {
                       admin_pb::SignedDocumentStatus& kept = *response->add_signed_documents();
                       kept.set_name(document.name);
                       kept.set_version(document.version);
                       kept.set_target(document.target);
                       kept.set_role(document.role);
                       kept.set_verified_unix_ms(unix_ms(document.verified_at));
                       kept.set_problem(document.problem);
                     }
                     if (const auto glass = parts.access.break_glass().view()) {
                       fill_break_glass(*glass, true, response->mutable_break_glass());
                     }
                     fill_link(sources_, *response->mutable_link());
                     fill_prefix_disk(sources_.prefix_disk(), *response->mutable_prefix_disk());
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::ListSlots(grpc::CallbackServerContext* context,
                                               const admin_pb::ListSlotsRequest*,
                                               admin_pb::ListSlotsResponse* response) {
  return run_unary(
      core_, peers_, context, "admin.slots", [this, response](Caller caller) -> Task<grpc::Status> {
        Administration::Parts& parts = administration_.parts();
        Result<void> allowed = co_await parts.access.authorise_read(
            std::move(caller), Verb::kAdminSlotsRead, "admin.slots");
        if (!allowed) {
          co_return to_status(allowed.error());
        }
        grpc::Status filled = co_await fill_slots(response->mutable_slots());
        if (!filled.ok()) {
          co_return filled;
        }
        auto read = [&parts] { return parts.catalogue.list_bad(); };
        Result<std::vector<registry::KnownBad>> bad =
            co_await async::offload(core_.disk, std::move(read));
        if (!bad) {
          co_return to_status(bad.error());
        }
        for (const registry::KnownBad& entry : *bad) {
          admin_pb::QuarantineEntry& out = *response->add_quarantine();
          out.set_digest(entry.manifest.to_string());
          out.set_reason(entry.variant.empty() ? entry.reason
                                               : entry.variant + ": " + entry.reason);
          out.set_at_unix_ms(unix_ms(entry.since));
        }
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* AdminGrpc::Rollback(grpc::CallbackServerContext* context,
                                              const admin_pb::RollbackRequest* request,
                                              admin_pb::RollbackResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.rollback",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Administration::Parts& parts = administration_.parts();
                     security::Resource resource;
                     Result<security::Decision> decision = co_await parts.access.authorise(
                         caller, Verb::kAdminSlotsWrite, resource, "slot.rollback");
                     if (!decision) {
                       co_return to_status(decision.error());
                     }
                     Result<SlotManager::RollbackOutcome> done =
                         co_await parts.slots.rollback(std::move(caller), request->slot());
                     if (!done) {
                       co_return to_status(done.error());
                     }
                     response->set_commit_us(static_cast<std::uint64_t>(done->commit.count()));
                     google::protobuf::RepeatedPtrField<admin_pb::SlotStatus> slots;
                     grpc::Status filled = co_await fill_slots(&slots);
                     if (!filled.ok()) {
                       co_return filled;
                     }
                     for (admin_pb::SlotStatus& slot : slots) {
                       if (slot.slot() == request->slot()) {
                         *response->mutable_slot() = std::move(slot);
                       }
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::ClearQuarantine(
    grpc::CallbackServerContext* context,
    const admin_pb::ClearQuarantineRequest* request,
    admin_pb::ClearQuarantineResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.clear_quarantine",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<bool> found =
                         co_await administration_.forgive(std::move(caller), request->digest());
                     if (!found) {
                       co_return to_status(found.error());
                     }
                     response->set_found(*found);
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::VerifyAudit(grpc::CallbackServerContext* context,
                                                 const admin_pb::VerifyAuditRequest*,
                                                 admin_pb::VerifyAuditResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.verify_audit",
                   [this, response](Caller caller) -> Task<grpc::Status> {
                     Result<security::AuditVerification> verified =
                         co_await administration_.verify_audit(std::move(caller));
                     if (!verified) {
                       co_return to_status(verified.error());
                     }
                     response->set_ok(verified->ok());
                     response->set_records(verified->size);
                     response->set_checkpoints(verified->checkpoints);
                     if (verified->checkpoint) {
                       response->set_root(verified->checkpoint->root.to_string());
                     }
                     if (!verified->findings.empty()) {
                       response->set_problem(verified->findings.front().to_string());
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::Collect(grpc::CallbackServerContext* context,
                                             const admin_pb::CollectRequest* request,
                                             admin_pb::CollectResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.collect",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<Administration::Collected> done =
                         co_await administration_.collect(std::move(caller), request->dry_run());
                     if (!done) {
                       co_return to_status(done.error());
                     }
                     response->set_freed_bytes(done->freed);
                     for (std::string& decision : done->decisions) {
                       response->add_decisions(std::move(decision));
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* AdminGrpc::Scrub(grpc::CallbackServerContext* context,
                                           const admin_pb::ScrubRequest* request,
                                           admin_pb::ScrubResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "admin.scrub",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     registry::ScrubOptions options;
                     options.rate_limit = request->bytes_per_second();
                     options.older_than = std::chrono::seconds{static_cast<std::int64_t>(
                         std::min<std::uint64_t>(request->older_than_seconds(), 1U << 30U))};
                     Result<registry::ScrubReport> done =
                         co_await administration_.scrub(std::move(caller), options);
                     if (!done) {
                       co_return to_status(done.error());
                     }
                     response->set_blobs(done->blobs);
                     response->set_bytes(done->bytes);
                     response->set_settled(done->settled);
                     response->set_skipped(done->skipped);
                     for (const registry::ScrubFinding& finding : done->findings) {
                       admin_pb::ScrubFinding* out = response->add_findings();
                       out->set_digest(finding.digest.to_string());
                       out->set_size(finding.size);
                       out->set_healed(finding.healed);
                       out->set_detail(finding.detail);
                     }
                     co_return grpc::Status::OK;
                   });
}

}  // namespace skerry::agent
