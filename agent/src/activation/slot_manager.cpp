#include "skerry/agent/slot_manager.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"

#include "local_target.hpp"
#include "slot_driver.hpp"

namespace skerry::agent {

using activation::Event;
using activation::EventKind;
using activation::State;
using security::AuditOutcome;
namespace {

constexpr std::size_t kJournalRows = 100'000;
constexpr std::size_t kJournalKept = 64;
// Starts of the daemon that one trial survives.
constexpr std::uint32_t kMaxTrialStarts = 5;

activation::Limits limits_of(const Settings& settings) {
  activation::Limits limits;
  const ActivationConfig& config = settings.activation();
  limits.fetching = config.fetch_deadline;
  limits.gating = config.gate_deadline;
  limits.probation_idle_extension = config.probation_idle_extension;
  limits.max_unclean_exits = static_cast<std::uint32_t>(config.max_unclean_exits);
  return limits;
}

struct Restored {
  std::string slot;
  activation::Record record;
  bool active_matches = false;
  std::uint32_t trial_starts = 0;
};

// The last journalled record of each slot, compared with what the catalogue says is active.
Result<std::vector<Restored>> read_journal(registry::Catalogue& catalogue) {
  Result<std::vector<registry::ActivationStep>> steps = catalogue.steps_after(0, kJournalRows);
  if (!steps) {
    return steps.error();
  }
  std::map<std::string, registry::ActivationStep> last;
  for (registry::ActivationStep& step : *steps) {
    last.insert_or_assign(step.slot.str(), std::move(step));
  }
  std::vector<Restored> restored;
  for (const auto& [slot, step] : last) {
    Result<activation::Record> record = activation::Record::from_json(step.detail);
    if (!record) {
      return record.error().with_context("slot " + slot);
    }
    Restored item;
    item.slot = slot;
    item.record = *std::move(record);
    if (Result<registry::Slot> stored = catalogue.slot(step.slot); stored && stored->active) {
      item.active_matches = stored->active->manifest.to_string() == item.record.manifest_digest &&
                            stored->active->generation == item.record.offer.generation;
      if (item.record.state == State::kProbation && stored->on_trial) {
        if (Result<std::uint32_t> starts = catalogue.count_trial_start(step.slot); starts) {
          item.trial_starts = *starts;
        }
      }
    }
    restored.push_back(std::move(item));
  }
  if (Result<void> trimmed = catalogue.trim_journal(kJournalKept); !trimmed) {
    return trimmed.error();
  }
  return restored;
}

}  // namespace

SlotManager::SlotManager(Core& core, Installer& installer, ModelHost& host, AuditWriter& audit)
    : core_(core),
      installer_(installer),
      host_(host),
      audit_(audit),
      source_changed_(core.control),
      tasks_(core.control, [log = core.log](const std::string& task, const std::string& what) {
        log.error("task.failed", {{"task", task}, {"error", what}});
      }) {}

SlotManager::~SlotManager() = default;

void SlotManager::set_source(std::shared_ptr<ModelSource> source) {
  source_ = std::move(source);
  source_changed_.notify();
}

void SlotManager::set_bundle(const std::string& id, std::shared_ptr<ModelSource> source) {
  bundle_ = id;
  bundle_source_ = std::move(source);
  source_changed_.notify();
}

Task<Result<void>> SlotManager::restore() {
  auto read = [this] { return read_journal(installer_.catalogue()); };
  Result<std::vector<Restored>> restored = co_await async::offload(core_.disk, std::move(read));
  if (!restored) {
    co_return restored.error().with_context("activation journal");
  }
  for (Restored& item : *restored) {
    auto made = std::make_unique<Driver>(
        *this, item.slot, activation::Machine(limits_of(*core_.settings), std::move(item.record)));
    Driver& driver = *made;
    drivers_.emplace(item.slot, std::move(made));
    Event event = driver.make(EventKind::kRestarted);
    event.active_matches = item.active_matches;
    driver.push(std::move(event));
    if (item.trial_starts > kMaxTrialStarts) {
      Event breach = driver.make(EventKind::kHealthBreach);
      breach.error = Error(Error::Code::kWorkerLost,
                           "the daemon was started " + std::to_string(item.trial_starts) +
                               " times during probation");
      driver.push(std::move(breach));
    }
    tasks_.spawn("slot." + item.slot, driver.run());
  }
  co_return Result<void>();
}

SlotManager::Driver& SlotManager::driver(const std::string& slot) {
  const auto found = drivers_.find(slot);
  if (found != drivers_.end()) {
    return *found->second;
  }
  auto made =
      std::make_unique<Driver>(*this, slot, activation::Machine{limits_of(*core_.settings)});
  Driver& driver = *made;
  drivers_.emplace(slot, std::move(made));
  tasks_.spawn("slot." + slot, driver.run());
  return driver;
}

void SlotManager::offer(const std::string& slot, const activation::Offer& offer) {
  if (Result<void> named = check_name(slot, "slot"); !named) {
    core_.log.warning("slot.refused", named.error());
    return;
  }
  if (is_local_target(offer.target)) {
    // What was imported here is for who administers this gateway, not for who directs it.
    core_.log.warning("slot.refused", {{"slot", slot}, {"target", offer.target}});
    return;
  }
  Driver& target = driver(slot);
  if (is_local_target(target.machine.record().offer.target) &&
      offer.generation <= target.machine.record().seen_generation) {
    core_.log.warning("slot.held_locally",
                      {{"slot", slot},
                       {"target", target.machine.record().offer.target},
                       {"offered", offer.target},
                       {"generation", offer.generation}});
  }
  Event event = target.make(EventKind::kOffer);
  event.offer = offer;
  target.push(std::move(event));
}

Task<Result<SlotView>> SlotManager::offer_local(std::string slot,
                                                activation::Offer offer,
                                                std::uint64_t highest) {
  if (Result<void> named = check_name(slot, "slot"); !named) {
    co_return named.error();
  }
  Driver& target = driver(slot);
  const activation::Record& record = target.machine.record();
  const bool directed = !record.offer.target.empty() && !is_local_target(record.offer.target);
  if (directed) {
    co_return Error(Error::Code::kFailedPrecondition,
                    "slot " + slot + " is directed by the fleet (" + record.offer.target +
                        "); use a slot of its own");
  }
  if (!activation::is_resting(record.state)) {
    co_return Error(
        Error::Code::kFailedPrecondition,
        "slot " + slot + " is " + std::string(to_string(record.state)) + "; try again later");
  }
  offer.generation = std::max(record.seen_generation, highest) + 1;
  Event event = target.make(EventKind::kOffer);
  event.offer = offer;
  target.push(std::move(event));
  const auto over = [&target, generation = offer.generation] {
    const activation::Record& now = target.machine.record();
    const bool ours = now.offer.generation == generation;
    return (ours && (activation::is_resting(now.state) || now.state == State::kProbation)) ||
           now.offer.generation > generation;
  };
  while (!over()) {
    co_await target.settled.wait();
  }
  co_return target.view();
}

Task<void> SlotManager::stop() {
  for (const auto& [slot, driver] : drivers_) {
    driver->cancel_work();
  }
  co_await tasks_.stop();
}

void SlotManager::served(const std::string& slot, const Digest& weights) {
  const auto found = drivers_.find(slot);
  if (found == drivers_.end() || found->second->machine.state() != State::kProbation) {
    return;
  }
  const ServedModelPtr active = host_.in_slot(slot);
  if (!active || active->weights != weights) {
    return;
  }
  Event event = found->second->make(EventKind::kServed);
  event.count = 1;
  found->second->push(std::move(event));
}

void SlotManager::worker_exited(const runtime::WorkerExit& exit) {
  if (exit.clean) {
    return;
  }
  for (const auto& [slot, driver] : drivers_) {
    const ServedModelPtr active = host_.in_slot(slot);
    if (driver->machine.state() != State::kProbation || !active || active->weights != exit.model) {
      continue;
    }
    Event event = driver->make(EventKind::kUncleanExit);
    event.error = exit.error;
    driver->push(std::move(event));
  }
}

Task<Result<SlotManager::RollbackOutcome>> SlotManager::rollback(Caller caller, std::string slot) {
  const auto found = drivers_.find(slot);
  RollbackOutcome outcome;
  const State state = found == drivers_.end() ? State::kIdle : found->second->machine.state();
  if (state == State::kActivating || state == State::kRollingBack) {
    co_return Error(
        Error::Code::kFailedPrecondition,
        "slot " + slot + " is " + std::string(to_string(state)) + "; try again when that is over");
  }
  if (state == State::kProbation) {
    Driver& driver = *found->second;
    driver.rollback_error.reset();
    Event event = driver.make(EventKind::kManualRollback);
    event.error = Error(Error::Code::kCancelled, "rolled back by " + caller.principal.to_string());
    driver.push(std::move(event));
    while (driver.machine.state() == State::kProbation ||
           driver.machine.state() == State::kRollingBack) {
      co_await driver.settled.wait();
    }
    if (driver.rollback_error) {
      co_return *driver.rollback_error;
    }
    outcome.commit = driver.rollback_commit;
    co_return outcome;
  }
  security::AuditEvent intent = security::AuditEvent::intent(security::AuditClass::kModelChange,
                                                             caller.principal,
                                                             "model.rollback",
                                                             "adm-" + core_.random.hex(8));
  intent.authn_method = caller.authn_method;
  intent.object.slot = slot;
  Result<void> recorded = co_await audit_.record_durable(intent);
  if (!recorded) {
    co_return recorded.error();
  }
  const std::string who = caller.principal.to_string();
  auto work = [this, slot, who, &outcome]() -> Result<registry::Slot> {
    if (Result<void> allowed = check_previous(SlotName{slot}); !allowed) {
      return allowed.error();
    }
    const BootTime began = core_.clock.boot_now();
    Result<registry::Slot> done =
        installer_.catalogue().rollback(SlotName{slot}, "rolled back by " + who, false);
    outcome.commit =
        std::chrono::duration_cast<std::chrono::microseconds>(core_.clock.boot_now() - began);
    return done;
  };
  Result<registry::Slot> done = co_await async::offload(core_.disk, std::move(work));
  security::AuditEvent result =
      done ? intent.outcome_of(AuditOutcome::kSuccess)
           : intent.outcome_of(AuditOutcome::kFailure, done.error().to_string());
  Result<void> closed = co_await audit_.record_durable(std::move(result));
  if (!closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  if (!done) {
    co_return done.error();
  }
  Result<void> refreshed = co_await host_.refresh();
  if (!refreshed) {
    co_return refreshed.error();
  }
  if (found != drivers_.end()) {
    Event event = found->second->make(EventKind::kManualRollback);
    event.error = Error(Error::Code::kCancelled, "rolled back by " + who);
    found->second->push(std::move(event));
  }
  co_return outcome;
}

std::vector<SlotView> SlotManager::views() const {
  std::vector<SlotView> views;
  for (const auto& [slot, driver] : drivers_) {
    views.push_back(driver->view());
  }
  // Slots that were filled before there was a journal.
  for (const ServedModelPtr& model : host_.served()) {
    if (!drivers_.contains(model->slot)) {
      SlotView view;
      view.slot = model->slot;
      view.record.state = model->on_trial ? State::kProbation : State::kCommitted;
      view.record.offer.target = model->manifest->target_path;
      view.record.offer.generation = model->generation.generation;
      view.record.manifest_digest = model->generation.manifest.to_string();
      view.record.variant = model->variant.name;
      views.push_back(std::move(view));
    }
  }
  return views;
}

std::map<std::string, std::uint64_t> SlotManager::generations() const {
  std::map<std::string, std::uint64_t> seen;
  for (const auto& [slot, driver] : drivers_) {
    seen.emplace(slot, driver->machine.record().seen_generation);
  }
  return seen;
}

}  // namespace skerry::agent
