// Ending what must not run any more. `stop` is the only word that ends a running model: expiry, a
// lost network and weaker revocations never do.

#include <utility>

#include "skerry/async/offload.hpp"

#include "slot_driver.hpp"

namespace skerry::agent {

using activation::Event;
using activation::EventKind;
using activation::State;
using security::AuditClass;
using security::AuditEvent;
using security::AuditOutcome;
using security::AuditPhase;
namespace {

// The check was made and says no; any other error means that it could not be made now.
bool is_refusal(const Error& error) {
  using Code = Error::Code;
  return error.code() == Code::kFailedPrecondition || error.code() == Code::kPermissionDenied ||
         error.code() == Code::kNotFound;
}

}  // namespace

// Whether the slot may go back to what it ran before; fine if there is nothing.
Result<void> SlotManager::check_previous(const SlotName& slot) {
  const SecurityTargets* security = installer_.security_targets();
  Result<registry::Slot> stored = installer_.catalogue().slot(slot);
  if (!stored && stored.error().code() != Error::Code::kNotFound) {
    return stored.error();
  }
  if (!stored || !stored->previous) {
    return {};
  }
  Result<void> vouched = installer_.check_vouched(stored->previous->manifest);
  if (!vouched || security == nullptr) {
    return vouched;
  }
  Result<registry::VerifiedManifest> manifest =
      installer_.catalogue().manifest(stored->previous->manifest);
  if (!manifest) {
    return manifest.error();
  }
  return security->may_return(*manifest, stored->previous->variant);
}

// Back to what the slot ran before a trial that failed; to nothing if that was imported and its
// signer does not count any more. Revocations do not empty a slot here: what must stop is kept from
// answering by the host's gate and ended by `enforce`. An error, and nothing is changed, if the
// check could not be made: the caller tries again.
Result<registry::Slot> SlotManager::leave_trial(const SlotName& slot, std::string reason) {
  registry::Catalogue& catalogue = installer_.catalogue();
  const Result<registry::Slot> stored = catalogue.slot(slot);
  if (!stored) {
    return stored.error();
  }
  std::optional<Digest> barred;
  if (stored->previous) {
    const Result<void> vouched = installer_.check_vouched(stored->previous->manifest);
    if (!vouched && !is_refusal(vouched.error())) {
      return vouched.error().with_context("asking who vouches for what ran before");
    }
    if (!vouched) {
      barred = stored->previous->manifest;
      reason += "; not back to what ran before: " + vouched.error().message();
      core_.log.warning("slot.not_returned", vouched.error().with_context("slot " + slot.str()));
    }
  }
  return catalogue.rollback(slot, reason, true, barred);
}

void SlotManager::enforce() {
  if (installer_.security_targets() == nullptr) {
    return;
  }
  if (enforcing_) {
    enforce_again_ = true;
    return;
  }
  enforcing_ = true;
  tasks_.spawn("slots.enforce", enforce_all());
}

Task<void> SlotManager::enforce_all() {
  bool again = true;
  while (again) {
    enforce_again_ = false;
    bool ended = false;
    std::vector<ServedModelPtr> active = host_.served();
    for (ServedModelPtr& model : active) {
      const SecurityTargets& security = *installer_.security_targets();
      Result<void> may_run = security.may_run(*model->manifest, model->variant.name);
      if (may_run) {
        std::string what = security.revocation_of(*model->manifest, model->variant.name);
        if (!what.empty()) {
          co_await tell_revoked(std::move(model), std::move(what));
        }
        continue;
      }
      Error why = may_run.error();
      const bool changed = co_await end_revoked(std::move(model), std::move(why));
      ended = ended || changed;
    }
    // What a slot went back to may be revoked as well.
    again = ended || enforce_again_;
  }
  enforcing_ = false;
}

Task<void> SlotManager::tell_revoked(ServedModelPtr model, std::string what) {
  if (!told_.insert(model->manifest->digest.to_string() + " " + what).second) {
    co_return;
  }
  core_.log.warning("model.revoked",
                    {{"slot", model->slot},
                     {"model", model->name()},
                     {"version", model->version()},
                     {"what", what}});
  AuditEvent event = AuditEvent::intent(AuditClass::kModelChange,
                                        security::Principal::system("revocation"),
                                        "model.revoked",
                                        "rev-" + core_.random.hex(8));
  event.phase = AuditPhase::kSingle;
  event.outcome = AuditOutcome::kSuccess;
  event.authn_method = "internal";
  event.reason = std::move(what);
  event.object.slot = model->slot;
  event.object.model = model->name();
  event.object.version = model->version();
  event.object.variant = model->variant.name;
  event.object.manifest_digest = model->manifest->digest.to_string();
  Result<void> recorded = co_await audit_.record_durable(std::move(event));
  if (!recorded) {
    core_.log.error("audit.not_recorded", recorded.error());
  }
}

// True if the slot runs something else, or nothing, now.
Task<bool> SlotManager::end_revoked(ServedModelPtr model, Error why) {
  const auto found = drivers_.find(model->slot);
  Driver* driver = found == drivers_.end() ? nullptr : found->second.get();
  if (driver != nullptr) {
    const State state = driver->machine.state();
    if (state == State::kActivating || state == State::kRollingBack) {
      // The gate of the host keeps it from answering; this is called again when that is over.
      co_return false;
    }
    if (state == State::kProbation) {
      installer_.security_targets()->count_stop();
      Event event = driver->make(EventKind::kHealthBreach);
      event.error = std::move(why);
      driver->push(std::move(event));
      co_return false;
    }
  }
  AuditEvent intent = AuditEvent::intent(AuditClass::kModelChange,
                                         security::Principal::system("revocation"),
                                         "model.stop",
                                         "rev-" + core_.random.hex(8));
  intent.authn_method = "internal";
  intent.reason = why.message();
  intent.object.slot = model->slot;
  intent.object.model = model->name();
  intent.object.version = model->version();
  intent.object.variant = model->variant.name;
  intent.object.manifest_digest = model->manifest->digest.to_string();
  Result<void> recorded = co_await audit_.record_durable(intent);
  if (!recorded) {
    // Stopping is safer than going on, recorded or not.
    core_.log.error("audit.not_recorded", recorded.error());
  }
  auto work = [this, model, reason = why.message()]() -> Result<registry::Slot> {
    const SlotName slot(model->slot);
    registry::Catalogue& catalogue = installer_.catalogue();
    const Result<void> may_return = check_previous(slot);
    if (may_return) {
      return catalogue.rollback(slot, reason, true);
    }
    if (!is_refusal(may_return.error())) {
      return may_return.error();
    }
    Result<void> marked = catalogue.mark_bad(model->manifest->digest, model->variant.name, reason);
    return marked ? catalogue.deactivate(slot, reason) : marked.error();
  };
  Result<registry::Slot> done = co_await async::offload(core_.disk, std::move(work));
  AuditEvent outcome = done ? intent.outcome_of(AuditOutcome::kSuccess, why.message())
                            : intent.outcome_of(AuditOutcome::kFailure, done.error().to_string());
  Result<void> closed = co_await audit_.record_durable(std::move(outcome));
  if (!closed) {
    core_.log.error("audit.outcome_not_recorded", closed.error());
  }
  core_.log.warning("model.stopped",
                    {{"slot", model->slot},
                     {"model", model->name()},
                     {"version", model->version()},
                     {"reason", why.message()}});
  if (!done) {
    // It stays listed and is not served; the next change or start tries again.
    core_.log.error("slot.stop_failed", done.error());
    co_return false;
  }
  installer_.security_targets()->count_stop();
  Result<void> refreshed = co_await host_.refresh();
  if (!refreshed) {
    core_.log.error("slot.refresh_failed", refreshed.error());
  }
  if (driver != nullptr) {
    Event event = driver->make(EventKind::kManualRollback);
    event.error = why;
    driver->push(std::move(event));
  }
  // Requests that run get the host's grace, then the worker goes.
  co_await host_.unload(model);
  co_return true;
}

}  // namespace skerry::agent
