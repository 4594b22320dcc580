// What a driver does for its machine: one function per action, each ending in the event to feed
// back.
#include <algorithm>
#include <cmath>
#include <utility>

#include <boost/asio/post.hpp>

#include "skerry/agent/upstream_quirks.hpp"
#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/runtime/evaluate.hpp"

#include "local_target.hpp"
#include "slot_driver.hpp"

namespace skerry::agent {

using activation::Event;
using activation::EventKind;
using security::AuditOutcome;
using security::AuditPhase;
namespace {

constexpr std::chrono::seconds kCommitRetry{1};
// Within the state's five minutes, so that the slot's record says why it is SAFE.
constexpr std::chrono::minutes kRollbackPatience{4};
constexpr std::chrono::seconds kRollbackLongestWait{10};

// The network may bring what is missing now; anything else is final.
bool worth_retrying(const Error& error) {
  using Code = Error::Code;
  switch (error.code()) {
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
    case Code::kResourceExhausted:
    case Code::kUnauthenticated:
    case Code::kIo:
    case Code::kInternal:
      return true;
    default:
      return false;
  }
}

// The same of the disk: the catalogue or a file that is read beside it may answer soon.
bool disk_may_recover(const Error& error) {
  return worth_retrying(error) || error.code() == Error::Code::kDatabase ||
         error.code() == Error::Code::kNoSpace;
}

std::string percent(double share) {
  return std::to_string(std::lround(share * 100.0)) + " %";
}

}  // namespace

Task<Event> SlotManager::Driver::preflight(std::shared_ptr<registry::CancelFlag> cancel) {
  auto work = [this,
               cancel,
               source = source(),
               offer = machine.record().offer,
               failed = machine.record().failed_variants] {
    if (is_local_target(offer.target)) {
      return owner.installer_.preflight_local(offer, slot, failed);
    }
    return owner.installer_.preflight(offer, slot, failed, *source, *cancel);
  };
  Result<Preflight> found = co_await async::offload(owner.core_.transfer(), std::move(work));
  if (!found && worth_retrying(found.error())) {
    co_return failed(EventKind::kRetryLater, found.error());
  }
  if (!found) {
    security::AuditEvent refusal = audit_event("model.refuse");
    refusal.outcome = AuditOutcome::kDenied;
    refusal.reason = found.error().to_string();
    Result<void> recorded = co_await owner.audit_.record_durable(std::move(refusal));
    if (!recorded) {
      owner.core_.log.error("audit.not_recorded", recorded.error());
    }
    co_return failed(EventKind::kPreflightFailed, found.error());
  }
  backoff_.reset();
  manifest_ = found->manifest;
  // What is wanted is not garbage, also before it is active.
  registry::DesiredSlot desired;
  desired.slot = SlotName(slot);
  desired.generation = machine.record().offer.generation;
  desired.manifest = manifest_->digest;
  desired.target_path = machine.record().offer.target;
  desired.rollout = RolloutId(machine.record().offer.rollout_id);
  auto wish = [this, desired] { return owner.installer_.catalogue().set_desired(desired); };
  Result<void> wished = co_await async::offload(owner.core_.disk, std::move(wish));
  if (!wished) {
    co_return failed(EventKind::kPreflightFailed, wished.error());
  }
  const ActivationConfig& config = owner.core_.settings->activation();
  const registry::ActivationOptions& options = manifest_->manifest.activation;
  Event event =
      make(found->already_active ? EventKind::kAlreadyActive : EventKind::kPreflightPassed);
  event.manifest_digest = manifest_->digest.to_string();
  event.variant = found->variant;
  event.reasons = std::move(found->reasons);
  event.probation_for = std::chrono::seconds(
      config.probation_seconds >= 0 ? config.probation_seconds
                                    : static_cast<std::int64_t>(options.probation_seconds));
  event.probation_requests = config.probation_requests >= 0
                                 ? static_cast<std::uint64_t>(config.probation_requests)
                                 : options.probation_requests;
  co_return event;
}

Task<Event> SlotManager::Driver::fetch(std::shared_ptr<registry::CancelFlag> cancel) {
  Result<void> loaded = co_await load_manifest();
  if (!loaded) {
    co_return failed(EventKind::kFetchFailed, loaded.error());
  }
  if (is_local_target(machine.record().offer.target)) {
    auto look = [this, manifest = manifest_, variant = machine.record().variant] {
      return owner.installer_.check_held(*manifest, variant);
    };
    Result<void> held = co_await async::offload(owner.core_.disk, std::move(look));
    co_return held ? make(EventKind::kFetched) : failed(EventKind::kFetchFailed, held.error());
  }
  // Progress comes from the transfer thread, a few times per chunk; reports are sent once a second.
  auto last = std::make_shared<BootTime>(owner.core_.clock.boot_now());
  auto on_progress = [this, cancel, last](const registry::FetchProgress& now) {
    boost::asio::post(owner.core_.control, [this, cancel, last, now] {
      if (cancel->cancelled()) {
        return;
      }
      progress = now;
      const BootTime time = owner.core_.clock.boot_now();
      if (time - *last >= std::chrono::seconds{1} && owner.on_report_) {
        *last = time;
        owner.on_report_(view());
      }
    });
  };
  auto work = [this,
               cancel,
               source = source(),
               manifest = manifest_,
               variant = machine.record().variant,
               leased = owner.host_.leased_blobs(),
               on_progress] {
    return owner.installer_.fetch(*manifest, variant, leased, *source, *cancel, on_progress);
  };
  Result<registry::FetchProgress> fetched =
      co_await async::offload(owner.core_.transfer(), std::move(work));
  if (!fetched) {
    co_return failed(
        worth_retrying(fetched.error()) ? EventKind::kRetryLater : EventKind::kFetchFailed,
        fetched.error());
  }
  progress = *fetched;
  std::string sources;
  for (const auto& [source, bytes] : progress.by_source) {
    sources += (sources.empty() ? "" : ", ") + source + " " + std::to_string(bytes);
  }
  owner.core_.log.info("slot.fetched",
                       {{"slot", slot},
                        {"sources", sources},
                        {"fetched_bytes", progress.fetched_bytes},
                        {"link_bytes", progress.link_bytes},
                        {"reused_bytes", progress.reused_bytes}});
  co_return make(EventKind::kFetched);
}

Task<Event> SlotManager::Driver::admit() {
  Result<void> loaded = co_await load_manifest();
  if (!loaded) {
    co_return failed(EventKind::kAdmissionFailed, loaded.error());
  }
  auto work = [this, manifest = manifest_, variant = machine.record().variant] {
    return owner.installer_.admit(*manifest, variant);
  };
  Result<void> admitted = co_await async::offload(owner.core_.transfer(), std::move(work));
  if (!admitted) {
    co_return failed(EventKind::kAdmissionFailed, admitted.error());
  }
  co_return make(EventKind::kAdmitted);
}

Task<Event> SlotManager::Driver::gate() {
  Result<void> loaded = co_await load_manifest();
  if (!loaded) {
    co_return failed(EventKind::kGateFailed, loaded.error());
  }
  Result<ServedModelPtr> candidate = make_served_model(
      manifest_, machine.record().variant, owner.core_.settings->storage().encrypts());
  if (!candidate) {
    co_return failed(EventKind::kGateFailed, candidate.error());
  }
  Result<void> passed = co_await run_golden(*candidate);
  if (!passed) {
    candidate_ = ModelHost::Lease();
    co_return failed(EventKind::kGateFailed, passed.error());
  }
  co_return make(EventKind::kGatePassed);
}

Task<Result<void>> SlotManager::Driver::run_golden(const ServedModelPtr& candidate) {
  const registry::ActivationOptions& options = manifest_->manifest.activation;
  const bool both_fit = owner.host_.used() + candidate->memory() <= owner.host_.budget();
  const bool swap = options.swap_mode == registry::SwapMode::kUnloadFirst || !both_fit;
  std::string swap_out = swap ? slot : std::string();
  Result<ModelHost::Lease> lease = co_await owner.host_.acquire(candidate, std::move(swap_out));
  if (!lease && candidate->variant.needs.runtime == upstream::kPlugin &&
      lease.error().code() == Error::Code::kUnavailable) {
    // The model is none the worse for a server that is away: it is not marked bad.
    co_return Error(Error::Code::kResourceExhausted, lease.error().message());
  }
  if (!lease) {
    co_return lease.error();
  }
  candidate_ = *std::move(lease);
  auto read = [this, manifest = manifest_, variant = machine.record().variant] {
    return owner.installer_.golden(*manifest, variant);
  };
  Result<Installer::Golden> golden = co_await async::offload(owner.core_.disk, std::move(read));
  if (!golden) {
    co_return golden.error();
  }
  if (golden->text.empty() && candidate->variant.needs.runtime == upstream::kPlugin) {
    // Its proof is that a server is well that has the model; the answers are not this machine's.
    owner.core_.log.info("slot.upstream_reached", {{"slot", slot}, {"model", candidate->name()}});
    co_return Result<void>();
  }
  if (golden->text.empty()) {
    owner.core_.log.warning("slot.no_golden_set", {{"slot", slot}, {"model", candidate->name()}});
    co_return Result<void>();
  }
  Result<runtime::GoldenSet> set = runtime::parse_golden(golden->text, golden->data);
  if (!set) {
    co_return set.error().with_context("golden set");
  }
  runtime::EvaluationOptions evaluation;
  evaluation.principal = "system:gate";
  Result<runtime::EvaluationReport> report =
      co_await runtime::evaluate(candidate_.model(), *std::move(set), std::move(evaluation));
  if (!report) {
    co_return report.error().with_context("golden set");
  }
  owner.core_.log.info("slot.gate",
                       {{"slot", slot},
                        {"cases", report->cases},
                        {"exact", report->exact},
                        {"failed", report->failed},
                        {"tokens_per_second", report->tokens_per_second}});
  if (report->exact_rate() < options.golden_min_pass) {
    co_return Error(Error::Code::kGateFailed,
                    "golden set: " + std::to_string(report->exact) + " of " +
                        std::to_string(report->cases) + " answers match, " +
                        percent(options.golden_min_pass) + " are required" +
                        (report->mismatches.empty() ? "" : "; " + report->mismatches.front()));
  }
  if (report->tokens_per_second < options.golden_min_tokens_per_second) {
    co_return Error(Error::Code::kGateFailed,
                    "golden set: " + std::to_string(report->tokens_per_second) +
                        " tokens/s, at least " +
                        std::to_string(options.golden_min_tokens_per_second) + " are required");
  }
  co_return Result<void>();
}

Task<Event> SlotManager::Driver::activate() {
  security::AuditEvent intent = audit_event("model.activate");
  intent.phase = AuditPhase::kIntent;
  intent.outcome = AuditOutcome::kUnknown;
  Result<void> recorded = co_await owner.audit_.record_durable(intent);
  if (!recorded) {
    co_return failed(EventKind::kActivateFailed, recorded.error());
  }
  registry::ActivationRequest request;
  request.slot = SlotName(slot);
  request.generation = machine.record().offer.generation;
  if (Result<Digest> digest = Digest::parse(machine.record().manifest_digest); digest) {
    request.manifest = *digest;
  }
  request.variant = machine.record().variant;
  for (const std::string& reason : machine.record().variant_reasons) {
    if (reason.starts_with(request.variant + ": ")) {
      request.reason = reason;
    }
  }
  auto work = [this, request]() -> Result<registry::Slot> {
    registry::ActivationRequest permitted = request;
    if (Result<void> allowed = owner.installer_.permit(permitted); !allowed) {
      return allowed.error();
    }
    return owner.installer_.catalogue().activate(permitted);
  };
  Result<registry::Slot> active = co_await async::offload(owner.core_.disk, std::move(work));
  security::AuditEvent outcome =
      active ? intent.outcome_of(AuditOutcome::kSuccess)
             : intent.outcome_of(AuditOutcome::kFailure, active.error().to_string());
  Result<void> closed = co_await owner.audit_.record_durable(std::move(outcome));
  if (!closed) {
    owner.core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  if (!active) {
    co_return failed(EventKind::kActivateFailed, active.error());
  }
  Result<void> refreshed = co_await owner.host_.refresh();
  candidate_ = ModelHost::Lease();
  if (!refreshed) {
    owner.core_.log.error("slot.refresh_failed", refreshed.error());
  }
  co_return make(EventKind::kActivated);
}

Task<Event> SlotManager::Driver::deactivate() {
  Result<void> recorded = co_await owner.audit_.record_durable(audit_event("model.deactivate"));
  if (!recorded) {
    co_return failed(EventKind::kActivateFailed, recorded.error());
  }
  auto work = [this]() -> Result<void> {
    Result<registry::Slot> slot_now =
        owner.installer_.catalogue().deactivate(SlotName{slot}, "desired state is empty");
    if (!slot_now && slot_now.error().code() != Error::Code::kNotFound) {
      return slot_now.error();
    }
    return {};
  };
  Result<void> done = co_await async::offload(owner.core_.disk, std::move(work));
  if (!done) {
    co_return failed(EventKind::kActivateFailed, done.error());
  }
  Result<void> refreshed = co_await owner.host_.refresh();
  if (!refreshed) {
    owner.core_.log.error("slot.refresh_failed", refreshed.error());
  }
  co_return make(EventKind::kActivated);
}

Task<Event> SlotManager::Driver::commit() {
  while (true) {
    auto work = [this, generation = machine.record().offer.generation] {
      return owner.installer_.catalogue().commit_probation(SlotName{slot}, generation);
    };
    Result<registry::Slot> done = co_await async::offload(owner.core_.disk, std::move(work));
    // Not on trial (any more): a restart came between the commit and the journal.
    if (done || done.error().code() == Error::Code::kFailedPrecondition) {
      break;
    }
    owner.core_.log.error("slot.commit_failed", done.error());
    co_await async::sleep_for(kCommitRetry);
  }
  Result<void> recorded = co_await owner.audit_.record_durable(audit_event("model.commit"));
  if (!recorded) {
    owner.core_.log.error("audit.not_recorded", recorded.error());
  }
  Result<void> refreshed = co_await owner.host_.refresh();
  if (!refreshed) {
    owner.core_.log.error("slot.refresh_failed", refreshed.error());
  }
  co_return make(EventKind::kCommitted);
}

Task<Event> SlotManager::Driver::roll_back() {
  security::AuditEvent intent = audit_event("model.rollback");
  intent.phase = AuditPhase::kIntent;
  intent.outcome = AuditOutcome::kUnknown;
  intent.reason = machine.record().reason_code;
  Result<void> recorded = co_await owner.audit_.record_durable(intent);
  if (!recorded) {
    // Going back is safer than staying, recorded or not.
    owner.core_.log.error("audit.not_recorded", recorded.error());
  }
  const BootTime began = owner.core_.clock.boot_now();
  auto work = [this, reason = machine.record().reason] {
    return owner.leave_trial(SlotName{slot}, reason);
  };
  const std::uint64_t id = work_id_;
  backoff_.reset();
  Result<registry::Slot> done = co_await async::offload(owner.core_.disk, work);
  while (!done && disk_may_recover(done.error()) && id == work_id_ &&
         owner.core_.clock.boot_now() - began < kRollbackPatience) {
    owner.core_.log.warning("slot.rollback_waits", done.error().with_context("slot " + slot));
    rollback_error = done.error();
    const auto wait = std::min<std::chrono::milliseconds>(backoff_.next(), kRollbackLongestWait);
    co_await async::sleep_for(wait);
    if (id == work_id_) {
      done = co_await async::offload(owner.core_.disk, work);
    }
  }
  if (done) {
    rollback_error.reset();
  }
  rollback_commit =
      std::chrono::duration_cast<std::chrono::microseconds>(owner.core_.clock.boot_now() - began);
  security::AuditEvent outcome =
      done ? intent.outcome_of(AuditOutcome::kSuccess)
           : intent.outcome_of(AuditOutcome::kFailure, done.error().to_string());
  Result<void> closed = co_await owner.audit_.record_durable(std::move(outcome));
  if (!closed) {
    owner.core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  if (!done) {
    rollback_error = done.error();
    co_return failed(EventKind::kRollbackFailed, done.error());
  }
  Result<void> refreshed = co_await owner.host_.refresh();
  if (!refreshed) {
    owner.core_.log.error("slot.refresh_failed", refreshed.error());
  }
  co_return make(EventKind::kRolledBack);
}

}  // namespace skerry::agent
