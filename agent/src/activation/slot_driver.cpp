#include "slot_driver.hpp"

#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"

#include "bundle/bundle_source.hpp"
#include "local_target.hpp"

namespace skerry::agent {

using activation::Action;
using activation::Event;
using activation::EventKind;
using activation::State;
namespace {

constexpr std::chrono::seconds kJournalRetry{1};

async::Backoff::Limits backoff_limits(const Settings& settings) {
  async::Backoff::Limits limits;
  limits.first = settings.sync().backoff_first;
  limits.longest = settings.sync().backoff_longest;
  return limits;
}

}  // namespace

SlotManager::Driver::Driver(SlotManager& manager, std::string name, activation::Machine start)
    : owner(manager),
      slot(std::move(name)),
      machine(std::move(start)),
      settled(manager.core_.control),
      wake_(manager.core_.control),
      cancel_(std::make_shared<registry::CancelFlag>()),
      backoff_(backoff_limits(*manager.core_.settings), manager.core_.random) {}

Event SlotManager::Driver::make(EventKind kind) const {
  Event event{};
  event.kind = kind;
  event.now = owner.core_.clock.boot_now();
  return event;
}

Event SlotManager::Driver::failed(EventKind kind, const Error& error) const {
  Event event = make(kind);
  event.error = error;
  return event;
}

void SlotManager::Driver::push(Event event) {
  inbox_.push_back(std::move(event));
  wake_.notify();
}

SlotView SlotManager::Driver::view() const {
  return SlotView{slot, machine.record(), progress};
}

Task<void> SlotManager::Driver::run() {
  while (true) {
    if (inbox_.empty()) {
      if (const std::optional<BootTime> deadline = machine.deadline()) {
        const BootTime now = owner.core_.clock.boot_now();
        if (now >= *deadline) {
          push(make(EventKind::kTimer));
        } else {
          co_await wake_.wait_for(*deadline - now);
        }
      } else {
        co_await wake_.wait();
      }
      continue;
    }
    Event event = std::move(inbox_.front());
    inbox_.pop_front();
    co_await handle(std::move(event));
  }
}

Task<void> SlotManager::Driver::handle(Event event) {
  const State before = machine.state();
  const activation::Step step = machine.step(event);
  if (step.cancel_work) {
    cancel_->cancel();
    cancel_ = std::make_shared<registry::CancelFlag>();
    ++work_id_;
    candidate_ = ModelHost::Lease();
  }
  if (step.journal) {
    co_await journal();
  }
  if (step.mark_bad) {
    co_await mark_bad();
  }
  if (step.report || machine.state() != before) {
    const activation::Record& record = machine.record();
    owner.core_.log.info("slot.state",
                         {{"slot", slot},
                          {"state", to_string(record.state)},
                          {"target", record.offer.target},
                          {"generation", record.offer.generation},
                          {"variant", record.variant},
                          {"reason", record.reason}});
    if (owner.on_report_) {
      owner.on_report_(view());
    }
  }
  if (activation::is_resting(machine.state())) {
    candidate_ = ModelHost::Lease();
    backoff_.reset();
  }
  if (machine.state() != before &&
      (machine.state() == State::kProbation || activation::is_resting(machine.state()))) {
    // What was revoked while the slot could not be touched.
    owner.enforce();
  }
  if (step.action != Action::kNone) {
    start(step.action);
  }
  settled.notify();
}

// The record is on disk before any side effect; while the disk refuses, nothing goes on here.
Task<void> SlotManager::Driver::journal() {
  registry::ActivationStep step;
  step.slot = SlotName{slot};
  step.generation = machine.record().offer.generation;
  if (Result<Digest> digest = Digest::parse(machine.record().manifest_digest); digest) {
    step.manifest = *digest;
  }
  step.variant = machine.record().variant;
  step.state = std::string{to_string(machine.state())};
  step.detail = machine.record().to_json();
  while (true) {
    auto write = [this, step] { return owner.installer_.catalogue().journal(step); };
    Result<std::uint64_t> written = co_await async::offload(owner.core_.disk, std::move(write));
    if (written) {
      co_return;
    }
    owner.core_.log.error("slot.journal_failed", written.error());
    co_await async::sleep_for(kJournalRetry);
  }
}

std::string SlotManager::Driver::bad_reason() const {
  const activation::Record& record = machine.record();
  return record.failure.empty() ? record.reason : record.failure;
}

Task<void> SlotManager::Driver::mark_bad() {
  Result<Digest> digest = Digest::parse(machine.record().manifest_digest);
  if (!digest) {
    co_return;
  }
  security::AuditEvent event = audit_event("model.quarantine");
  event.reason = machine.record().reason_code;
  Result<void> recorded = co_await owner.audit_.record_durable(std::move(event));
  if (!recorded) {
    owner.core_.log.error("audit.not_recorded", recorded.error());
  }
  auto mark = [this, bad = *digest, variant = machine.record().variant, reason = bad_reason()] {
    return owner.installer_.catalogue().mark_bad(bad, variant, reason);
  };
  Result<void> marked = co_await async::offload(owner.core_.disk, std::move(mark));
  if (!marked) {
    owner.core_.log.error("slot.mark_bad_failed", marked.error());
  }
}

void SlotManager::Driver::start(Action action) {
  const std::uint64_t id = ++work_id_;
  if (action == Action::kWatch) {
    return;
  }
  if (action == Action::kAwaitWindow) {
    // No maintenance windows are configured: it may always be installed now.
    push(make(EventKind::kWindowOpen));
    return;
  }
  owner.tasks_.spawn("slot." + slot, work(action, id));
}

Task<void> SlotManager::Driver::work(Action action, std::uint64_t id) {
  Event outcome{};
  const std::shared_ptr<registry::CancelFlag> cancel = cancel_;
  switch (action) {
    case Action::kRetryPreflight:
    case Action::kRetryFetch:
      co_await owner.source_changed_.wait_for(backoff_.next());
      break;
    default:
      break;
  }
  if (id != work_id_) {
    co_return;
  }
  switch (action) {
    case Action::kPreflight:
    case Action::kRetryPreflight:
      co_await wait_for_source(id);
      if (id != work_id_) {
        co_return;
      }
      outcome = co_await preflight(cancel);
      break;
    case Action::kFetch:
    case Action::kRetryFetch:
      co_await wait_for_source(id);
      if (id != work_id_) {
        co_return;
      }
      outcome = co_await fetch(cancel);
      break;
    case Action::kAdmit:
      outcome = co_await admit();
      break;
    case Action::kGate:
      outcome = co_await gate();
      break;
    case Action::kActivate:
      outcome = co_await activate();
      break;
    case Action::kDeactivate:
      outcome = co_await deactivate();
      break;
    case Action::kCommit:
      outcome = co_await commit();
      break;
    case Action::kRollBack:
      outcome = co_await roll_back();
      break;
    case Action::kNone:
    case Action::kAwaitWindow:
    case Action::kWatch:
      co_return;
  }
  // Work that was cancelled meanwhile has nothing to say.
  if (id == work_id_) {
    push(std::move(outcome));
  }
}

Task<void> SlotManager::Driver::wait_for_source(std::uint64_t id) {
  if (is_local_target(machine.record().offer.target)) {
    co_return;  // all of it is here
  }
  while (!source() && id == work_id_) {
    co_await owner.source_changed_.wait();
  }
}

std::shared_ptr<ModelSource> SlotManager::Driver::source() const {
  const std::string& bundle = machine.record().offer.bundle;
  if (bundle.empty()) {
    return owner.source_;
  }
  // Without it the work still runs: after a restart all of it may be here already.
  return bundle == owner.bundle_ ? owner.bundle_source_ : make_absent_bundle(bundle);
}

Task<Result<void>> SlotManager::Driver::load_manifest() {
  if (manifest_ && manifest_->digest.to_string() == machine.record().manifest_digest) {
    co_return Result<void>();
  }
  Result<Digest> digest = Digest::parse(machine.record().manifest_digest);
  if (!digest) {
    co_return digest.error();
  }
  auto read = [this, wanted = *digest] { return owner.installer_.catalogue().manifest(wanted); };
  Result<registry::VerifiedManifest> manifest =
      co_await async::offload(owner.core_.disk, std::move(read));
  if (!manifest) {
    co_return manifest.error();
  }
  manifest_ = std::make_shared<const registry::VerifiedManifest>(*std::move(manifest));
  co_return Result<void>();
}

security::AuditEvent SlotManager::Driver::audit_event(std::string action) const {
  security::AuditEvent event =
      security::AuditEvent::intent(security::AuditClass::kModelChange,
                                   security::Principal::system("activation"),
                                   std::move(action),
                                   "act-" + owner.core_.random.hex(8));
  event.authn_method = "internal";
  event.phase = security::AuditPhase::kSingle;
  event.object.slot = slot;
  event.object.variant = machine.record().variant;
  event.object.manifest_digest = machine.record().manifest_digest;
  if (Result<registry::TargetName> name =
          registry::parse_target_path(machine.record().offer.target);
      name) {
    event.object.model = name->model.to_string();
    event.object.version = name->version.to_string();
  }
  Json::Object details;
  details.emplace("generation", Json{machine.record().offer.generation});
  details.emplace("rollout", Json{machine.record().offer.rollout_id});
  event.details = Json{std::move(details)};
  return event;
}

}  // namespace skerry::agent
