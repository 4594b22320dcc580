// What the controller asks for, carried out; and what it is told.

#include <utility>

#include <boost/asio/post.hpp>

#include "skerry/async/offload.hpp"

#include "sync_client_impl.hpp"

namespace skerry::agent {
namespace fleet_pb = fleet::v1;
namespace asio = boost::asio;
namespace {

// 9999-12-31: what RFC 3339 can say.
constexpr std::uint64_t kLatestWallMs = 253'402'300'799'000;

// Worth keeping for the controller although it may be away now.
bool is_lasting(activation::State state) {
  using activation::State;
  return activation::is_resting(state) || state == State::kProbation ||
         state == State::kRollingBack;
}

}  // namespace

Task<void> SyncClient::Impl::acknowledge(std::map<std::string, std::uint64_t> up_to,
                                         bool greeting) {
  auto work = [this, up_to = std::move(up_to), greeting]() {
    if (greeting) {
      if (Result<void> skipped = outbox.skip_to(up_to); !skipped) {
        return skipped;
      }
    }
    return outbox.acknowledge(up_to);
  };
  Result<void> done = co_await async::offload(strand, std::move(work));
  if (!done) {
    core.log.error("sync.acknowledge_failed", done.error());
  }
}

Task<void> SyncClient::Impl::apply(sync::Session::Effects effects, std::shared_ptr<Stream> stream) {
  if (effects.wall_ms > 0 && effects.wall_ms < kLatestWallMs) {
    const WallTime told{std::chrono::milliseconds(static_cast<std::int64_t>(effects.wall_ms))};
    if (installer.time().vouch(told)) {
      auto persist = [this] { return installer.persist_time_floor(); };
      Result<void> persisted = co_await async::offload(strand, std::move(persist));
      if (!persisted) {
        core.log.error("time.floor_not_persisted", persisted.error());
      }
    }
  }
  if (effects.acknowledged) {
    co_await acknowledge(*std::move(effects.acknowledged), effects.established);
  }
  if (effects.established) {
    // What changed while we were away, and whoever waits for a source goes on.
    for (const SlotView& view : slots.views()) {
      fleet_pb::DeviceMessage message;
      *message.mutable_report() = to_report(view);
      stream->write(std::move(message));
    }
    slots.set_source(source);
    core.tasks.spawn("sync.forget_keys", forget_former_keys());
  }
  if (effects.nonce) {
    // Before anything else of this connection is stored at the controller's side.
    co_await keep_nonce(*std::move(effects.nonce), stream);
  }
  if (effects.decommission) {
    co_await obey(*std::move(effects.decommission));
  }
  if (effects.trust) {
    co_await adopt_trust(*std::move(effects.trust));
  }
  if (effects.desired) {
    co_await desire(effects);
  }
  if (effects.prove) {
    core.tasks.spawn("sync.prove_audit",
                     prove_growth(effects.prove->old_size, effects.prove->new_size, stream));
  }
  // Also when it comes back: what was published, or revoked, while it was away.
  if (effects.refresh_trust || effects.established) {
    core.tasks.spawn("sync.refresh_trust", refresh_trust());
  }
}

Task<void> SyncClient::Impl::desire(sync::Session::Effects effects) {
  struct Directed {
    bool pinned = false;
    std::vector<security::tuf::Assignment> assignments;
  };
  auto work = [this, files = std::move(effects.director)]() -> Result<Directed> {
    Directed out;
    Result<bool> pinned = installer.director().pinned();
    if (!pinned || !*pinned) {
      return pinned ? Result<Directed>{out} : pinned.error();
    }
    out.pinned = true;
    if (files.empty()) {
      return Error{Error::Code::kSignatureInvalid,
                   "the controller sent a desired state that no director signed, and this gateway "
                   "has a director root: publish the director repository there (skerry fleet "
                   "publish --repository director), or update the controller"};
    }
    Result<DirectorClient::Directions> directions = installer.director().take(files);
    if (!directions) {
      return directions.error();
    }
    if (directions->persist_time) {
      if (Result<void> persisted = installer.persist_time_floor(); !persisted) {
        return persisted.error();
      }
    }
    out.assignments = std::move(directions->assignments);
    return out;
  };
  Result<Directed> directed = co_await async::offload(core.disk, std::move(work));
  if (!directed) {
    co_await refuse_directions(directed.error());
    co_return;
  }
  refused_directions.clear();
  if (!directed->pinned) {
    for (const sync::Session::Effects::SlotOffer& offer : effects.offers) {
      slots.offer(offer.slot, offer.offer);
    }
    co_return;
  }
  for (const security::tuf::Assignment& one : directed->assignments) {
    activation::Offer offer;
    offer.generation = one.generation;
    offer.target = one.target;
    offer.rollout_id = one.rollout;
    if (Result<Digest> digest = one.file.sha256(); digest && !one.target.empty()) {
      offer.manifest_digest = digest->to_string();
    }
    slots.offer(one.slot, offer);
  }
}

// Nothing is installed, what runs goes on, and somebody should look.
Task<void> SyncClient::Impl::refuse_directions(Error error) {
  state.last_error = error.to_string();
  if (refused_directions == state.last_error) {
    co_return;
  }
  refused_directions = state.last_error;
  core.log.error("director.refused", error);
  security::AuditEvent event = security::AuditEvent::intent(security::AuditClass::kTrust,
                                                            security::Principal::system("sync"),
                                                            "director.refuse",
                                                            "dir-" + core.random.hex(8));
  event.phase = security::AuditPhase::kSingle;
  event.authn_method = "mtls";
  event.outcome = security::AuditOutcome::kDenied;
  event.reason = refused_directions;
  auto write = [this, event] { return audit.append(event); };
  Result<security::AuditReceipt> written = co_await async::offload(core.disk, std::move(write));
  if (!written) {
    core.log.error("audit.not_recorded", written.error());
  }
}

// For the witness: that the log only grew. It reads the segments in between.
Task<void> SyncClient::Impl::prove_growth(std::uint64_t old_size,
                                          std::uint64_t new_size,
                                          std::shared_ptr<Stream> stream) {
  auto work = [this, old_size, new_size] { return audit.prove_consistency(old_size, new_size); };
  Result<std::vector<Digest>> proof = co_await async::offload(strand, std::move(work));
  fleet_pb::DeviceMessage message;
  fleet_pb::AuditProof& out = *message.mutable_audit_proof();
  out.set_old_size(old_size);
  out.set_new_size(new_size);
  if (proof) {
    for (const Digest& hash : *proof) {
      out.add_hashes(hash.raw());
    }
  } else {
    core.log.error("audit.growth_not_proven", proof.error());
    out.set_error(proof.error().to_string());
  }
  stream->write(std::move(message));
}

Task<void> SyncClient::Impl::refresh_trust() {
  auto work = [this, from = source] { return installer.refresh_trust(*from); };
  Result<security::tuf::RefreshOutcome> outcome =
      co_await async::offload(core.transfer(), std::move(work));
  if (!outcome) {
    core.log.warning("trust.refresh_failed", outcome.error());
  } else if (outcome->changed) {
    core.log.info("trust.refreshed",
                  {{"targets", outcome->targets_version},
                   {"snapshot", outcome->snapshot_version},
                   {"timestamp", outcome->timestamp_version}});
  }
}

fleet_pb::SlotReport SyncClient::Impl::to_report(const SlotView& view) const {
  const activation::Record& record = view.record;
  fleet_pb::SlotReport report;
  report.set_slot(view.slot);
  report.set_generation(record.offer.generation);
  report.set_state(std::string{activation::to_string(record.state)});
  report.set_reason_code(record.reason_code);
  report.set_reason(record.reason.substr(0, 2048));
  report.set_target(record.offer.target);
  report.set_manifest_digest(record.manifest_digest);
  report.set_variant(record.variant);
  for (const std::string& reason : record.variant_reasons) {
    report.add_variant_reasons(reason.substr(0, 512));
  }
  report.set_fetched_bytes(view.progress.fetched_bytes);
  report.set_total_bytes(view.progress.total_bytes);
  report.set_reused_bytes(view.progress.reused_bytes);
  report.set_at_unix_ms(unix_ms_of(core.clock.wall_now()));
  report.set_rollout_id(record.offer.rollout_id);
  if (const ServedModelPtr active = host.in_slot(view.slot)) {
    report.set_active_target(active->manifest->target_path);
  }
  return report;
}

std::optional<fleet_pb::AuditCheckpoint> SyncClient::Impl::checkpoint() const {
  const security::Checkpoint sealed = audit.checkpoint();
  if (sealed.size == 0) {
    return std::nullopt;
  }
  fleet_pb::AuditCheckpoint out;
  out.set_note(audit.checkpoint_note());
  out.set_size(sealed.size);
  out.set_root(sealed.root.raw());
  out.set_verifier_key(audit.verifier_key());
  return out;
}

void SyncClient::Impl::put(std::string_view stream, const fleet_pb::OutboxRecord& record) {
  asio::post(strand, [this, stream = std::string{stream}, body = record.SerializeAsString()] {
    if (Result<std::uint64_t> seq = outbox.append(stream, body); !seq) {
      core.log.error("outbox.append_failed", seq.error());
      return;
    }
    asio::post(core.control, [this] { poke.notify(); });
  });
}

void SyncClient::report(const SlotView& view) {
  Impl& self = *impl_;
  if (self.state.controller.empty()) {
    return;
  }
  const fleet_pb::SlotReport report = self.to_report(view);
  if (self.live && self.state.state == "connected") {
    fleet_pb::DeviceMessage message;
    *message.mutable_report() = report;
    self.live->write(std::move(message));
  }
  if (is_lasting(view.record.state)) {
    fleet_pb::OutboxRecord record;
    *record.mutable_report() = report;
    self.put(kEventStream, record);
  }
}

void SyncClient::audit_checkpoint(const security::Checkpoint& checkpoint, const std::string& note) {
  Impl& self = *impl_;
  if (self.state.controller.empty()) {
    return;
  }
  fleet_pb::OutboxRecord record;
  record.mutable_audit()->set_note(note);
  record.mutable_audit()->set_size(checkpoint.size);
  record.mutable_audit()->set_root(checkpoint.root.raw());
  record.mutable_audit()->set_verifier_key(self.audit.verifier_key());
  self.put(kAuditStream, record);
}

}  // namespace skerry::agent
