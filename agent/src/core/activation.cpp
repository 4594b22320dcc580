#include "skerry/agent/activation.hpp"

#include <algorithm>
#include <utility>

namespace skerry::agent::activation {
namespace {

// Only what arrives before this can be replaced by a newer generation at once.
bool is_cancellable(State state) {
  switch (state) {
    case State::kOffered:
    case State::kPreflight:
    case State::kFetching:
    case State::kVerified:
    case State::kStaged:
    case State::kGating:
      return true;
    default:
      return false;
  }
}

Error error_of(const Event& event) {
  if (event.error) {
    return *event.error;
  }
  return Error{Error::Code::kInternal, std::string{to_string(event.kind)} + " without an error"};
}

// What this machine lacks says nothing of the model.
bool is_of_this_machine(const Error& error) {
  switch (error.code()) {
    case Error::Code::kWorkerSetup:
    case Error::Code::kPluginInvalid:
    case Error::Code::kResourceExhausted:
    case Error::Code::kNoSpace:
    case Error::Code::kIo:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool is_resting(State state) noexcept {
  switch (state) {
    case State::kIdle:
    case State::kCommitted:
    case State::kRejected:
    case State::kQuarantined:
    case State::kRolledBack:
    case State::kSafe:
      return true;
    default:
      return false;
  }
}

Step Machine::step(const Event& event) {
  switch (event.kind) {
    case EventKind::kOffer:
      return take_offer(event);
    case EventKind::kRestarted:
      return restarted(event);
    case EventKind::kTimer:
      return deadline_ && event.now >= *deadline_ ? timer(event.now) : Step{};
    case EventKind::kManualRollback:
      if (record_.state == State::kProbation) {
        return roll_back(error_of(event), event.now);
      }
      if (is_resting(record_.state)) {
        record_.reason_code = event.error && event.error->code() == Error::Code::kPermissionDenied
                                  ? "revoked"
                                  : "manual_rollback";
        record_.reason = error_of(event).message();
        return rest(State::kRolledBack, event.now);
      }
      return {};
    default:
      break;
  }
  switch (record_.state) {
    case State::kOffered:
    case State::kPreflight:
      return on_preflight(event);
    case State::kFetching:
    case State::kVerified:
    case State::kStaged:
    case State::kGating:
    case State::kActivating:
      return on_install(event);
    case State::kProbation:
      return on_probation(event);
    case State::kRollingBack:
      return on_rollback(event);
    default:
      return {};
  }
}

Step Machine::take_offer(const Event& event) {
  const Offer& offer = event.offer;
  if (offer.generation <= record_.seen_generation) {
    return {};
  }
  record_.seen_generation = offer.generation;
  if (is_resting(record_.state)) {
    return begin(offer, event.now);
  }
  if (is_cancellable(record_.state)) {
    Step step = begin(offer, event.now);
    step.cancel_work = true;
    return step;
  }
  record_.queued = offer;
  return Step{.journal = true};
}

Step Machine::begin(const Offer& offer, BootTime now) {
  Record next;
  next.seen_generation = record_.seen_generation;
  next.offer = offer;
  record_ = std::move(next);
  if (offer.target.empty()) {
    // An empty wish needs no trial: the slot stops serving and the machine rests.
    return enter(State::kActivating, Action::kDeactivate, now);
  }
  return enter(State::kOffered, Action::kPreflight, now);
}

Step Machine::restarted(const Event& event) {
  switch (record_.state) {
    case State::kOffered:
    case State::kPreflight:
      arm(event.now);
      return Step{.action = Action::kPreflight};
    case State::kFetching:
      arm(event.now);
      return Step{.action = Action::kFetch, .report = true};
    case State::kVerified:
      arm(event.now);
      return Step{.action = Action::kAdmit};
    case State::kStaged:
      arm(event.now);
      return Step{.action = Action::kAwaitWindow};
    case State::kGating:
      // The model may be what brought the daemon down: it gets a bounded number of starts.
      if (++record_.gate_attempts >= limits_.max_gate_attempts) {
        return fail_variant(Error{Error::Code::kGateFailed,
                                  "the daemon went down during the gate " +
                                      std::to_string(record_.gate_attempts) + " times"},
                            event.now);
      }
      arm(event.now);
      return Step{.action = Action::kGate, .journal = true};
    case State::kActivating:
      if (event.active_matches) {
        return enter(State::kProbation, Action::kWatch, event.now);
      }
      arm(event.now);
      return Step{.action = record_.offer.target.empty() ? Action::kDeactivate : Action::kActivate};
    case State::kProbation:
      probation_since_ = event.now;
      arm(event.now);
      return Step{.action = Action::kWatch, .report = true};
    case State::kRollingBack:
      if (!event.active_matches) {
        return rest(State::kRolledBack, event.now);
      }
      arm(event.now);
      return Step{.action = Action::kRollBack};
    default:
      return {};
  }
}

Step Machine::on_preflight(const Event& event) {
  switch (event.kind) {
    case EventKind::kPreflightPassed:
      record_.manifest_digest = event.manifest_digest;
      record_.variant = event.variant;
      record_.variant_reasons = event.reasons;
      record_.probation_for = event.probation_for;
      record_.probation_requests = event.probation_requests;
      return enter(State::kFetching, Action::kFetch, event.now);
    case EventKind::kAlreadyActive:
      record_.manifest_digest = event.manifest_digest;
      record_.variant = event.variant;
      record_.variant_reasons = event.reasons;
      return rest(State::kCommitted, event.now);
    case EventKind::kPreflightFailed:
      if (!record_.failed_variants.empty()) {
        // No other variant is left: what failed is why the version is refused.
        record_.reason_code = record_.failure_code;
        record_.reason = record_.failure + "; no other variant: " + error_of(event).message();
        return rest(State::kQuarantined, event.now);
      }
      return stop(State::kRejected, error_of(event), false, event.now);
    case EventKind::kRetryLater:
      ++record_.fetch_attempts;
      record_.state = State::kPreflight;
      record_.reason_code = std::string{skerry::to_string(error_of(event).code())};
      record_.reason = error_of(event).message();
      return Step{.action = Action::kRetryPreflight};
    default:
      return {};
  }
}

Step Machine::on_install(const Event& event) {
  const State state = record_.state;
  switch (event.kind) {
    case EventKind::kFetched:
      return state == State::kFetching ? enter(State::kVerified, Action::kAdmit, event.now)
                                       : Step{};
    case EventKind::kFetchFailed:
      return state == State::kFetching ? stop(State::kRejected, error_of(event), false, event.now)
                                       : Step{};
    case EventKind::kRetryLater:
      if (state != State::kFetching) {
        return {};
      }
      ++record_.fetch_attempts;
      record_.reason_code = std::string{skerry::to_string(error_of(event).code())};
      record_.reason = error_of(event).message();
      return Step{.action = Action::kRetryFetch};
    case EventKind::kAdmitted:
      return state == State::kVerified ? enter(State::kStaged, Action::kAwaitWindow, event.now)
                                       : Step{};
    case EventKind::kAdmissionFailed:
      return state == State::kVerified ? fail_variant(error_of(event), event.now) : Step{};
    case EventKind::kWindowOpen:
      return state == State::kStaged ? enter(State::kGating, Action::kGate, event.now) : Step{};
    case EventKind::kGatePassed:
      return state == State::kGating ? enter(State::kActivating, Action::kActivate, event.now)
                                     : Step{};
    case EventKind::kGateFailed: {
      if (state != State::kGating) {
        return {};
      }
      const Error error = error_of(event);
      return is_of_this_machine(error) ? stop(State::kRejected, error, false, event.now)
                                       : fail_variant(error, event.now);
    }
    case EventKind::kActivated:
      if (state != State::kActivating) {
        return {};
      }
      if (record_.offer.target.empty()) {
        return rest(State::kIdle, event.now);
      }
      return enter(State::kProbation, Action::kWatch, event.now);
    case EventKind::kActivateFailed:
      return state == State::kActivating ? stop(State::kRejected, error_of(event), false, event.now)
                                         : Step{};
    default:
      return {};
  }
}

Step Machine::on_probation(const Event& event) {
  switch (event.kind) {
    case EventKind::kServed:
      record_.served_requests += event.count;
      return watch_progress(event.now);
    case EventKind::kUncleanExit: {
      ++record_.unclean_exits;
      if (record_.unclean_exits < limits_.max_unclean_exits) {
        // Journalled, so that a restart of the daemon does not forget it.
        return Step{.journal = true};
      }
      const Error error = error_of(event);
      return roll_back(
          Error{error.code(),
                std::to_string(record_.unclean_exits) +
                    " unclean worker exits during probation; last: " + error.message()},
          event.now);
    }
    case EventKind::kHealthBreach:
      return roll_back(error_of(event), event.now);
    case EventKind::kCommitted:
      return rest(State::kCommitted, event.now);
    default:
      return {};
  }
}

Step Machine::on_rollback(const Event& event) {
  switch (event.kind) {
    case EventKind::kRolledBack:
      return rest(State::kRolledBack, event.now);
    case EventKind::kRollbackFailed:
      record_.reason_code = std::string{skerry::to_string(error_of(event).code())};
      record_.reason += "; rolling back failed: " + error_of(event).message();
      return rest(State::kSafe, event.now);
    default:
      return {};
  }
}

Step Machine::watch_progress(BootTime now) {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  record_.probation_elapsed += duration_cast<milliseconds>(now - probation_since_);
  probation_since_ = now;
  if (record_.probation_elapsed < record_.probation_for) {
    arm(now);
    return {};
  }
  const bool enough = record_.served_requests >= record_.probation_requests;
  const bool waited =
      record_.probation_elapsed >= record_.probation_for + limits_.probation_idle_extension;
  if (enough || waited) {
    return finish_probation();
  }
  arm(now);
  return {};
}

Step Machine::finish_probation() {
  deadline_.reset();
  return Step{.action = Action::kCommit, .journal = true};
}

Step Machine::timer(BootTime now) {
  const std::string where{to_string(record_.state)};
  const Error late{Error::Code::kDeadlineExceeded, where + " took longer than its deadline"};
  Step step;
  switch (record_.state) {
    case State::kProbation:
      return watch_progress(now);
    case State::kGating:
      // A model that cannot finish its golden set in time is not fit for this machine.
      step = fail_variant(late, now);
      break;
    case State::kRollingBack:
      step = rest(State::kSafe, now);
      break;
    case State::kIdle:
    case State::kCommitted:
    case State::kRejected:
    case State::kQuarantined:
    case State::kRolledBack:
    case State::kSafe:
      return {};
    default:
      step = stop(State::kRejected, late, false, now);
      break;
  }
  step.cancel_work = true;
  return step;
}

Step Machine::enter(State state, Action action, BootTime now) {
  if (++record_.transitions > limits_.max_transitions && state != State::kRollingBack) {
    const Error loop{Error::Code::kInternal,
                     "more than " + std::to_string(limits_.max_transitions) + " state changes"};
    return record_.state == State::kProbation ? roll_back(loop, now)
                                              : stop(State::kRejected, loop, false, now);
  }
  record_.state = state;
  record_.reason_code.clear();
  record_.reason.clear();
  if (state == State::kProbation) {
    probation_since_ = now;
  }
  arm(now);
  return Step{.action = action, .journal = true, .report = true};
}

// A variant is not the version: the next preferred one is tried, as long as it was no user who met
// the failure. PREFLIGHT leaves out what failed.
Step Machine::fail_variant(const Error& error, BootTime now) {
  record_.failed_variants.push_back(record_.variant);
  record_.failure_code = std::string{skerry::to_string(error.code())};
  if (!record_.failure.empty()) {
    record_.failure += "; ";
  }
  record_.failure += record_.variant + ": " + error.message();
  if (record_.failed_variants.size() >= limits_.max_variants) {
    Step step = stop(State::kQuarantined, Error{error.code(), record_.failure}, true, now);
    step.cancel_work = true;
    return step;
  }
  record_.state = State::kPreflight;
  record_.reason_code = record_.failure_code;
  record_.reason = record_.failure;
  record_.transitions = 0;
  record_.gate_attempts = 0;
  record_.fetch_attempts = 0;
  arm(now);
  return Step{.action = Action::kPreflight,
              .journal = true,
              .cancel_work = true,
              .mark_bad = true,
              .report = true};
}

Step Machine::stop(State state, const Error& error, bool bad, BootTime now) {
  record_.reason_code = std::string{skerry::to_string(error.code())};
  record_.reason = error.message();
  Step step = rest(state, now);
  step.mark_bad = bad;
  return step;
}

Step Machine::roll_back(const Error& error, BootTime now) {
  const std::string code{skerry::to_string(error.code())};
  Step step = enter(State::kRollingBack, Action::kRollBack, now);
  record_.reason_code = code;
  record_.reason = error.message();
  step.mark_bad = true;
  step.cancel_work = true;
  return step;
}

Step Machine::rest(State state, BootTime now) {
  record_.state = state;
  deadline_.reset();
  if (record_.queued) {
    const Offer next = *std::exchange(record_.queued, std::nullopt);
    return begin(next, now);
  }
  return Step{.journal = true, .report = true};
}

void Machine::arm(BootTime now) {
  const auto after = [this, now](std::chrono::milliseconds wait) { deadline_ = now + wait; };
  switch (record_.state) {
    case State::kOffered:
    case State::kPreflight:
      return after(limits_.preflight + limits_.fetching);
    case State::kFetching:
      return after(limits_.fetching);
    case State::kVerified:
      return after(limits_.admission);
    case State::kStaged:
      return after(limits_.staged);
    case State::kGating:
      return after(limits_.gating);
    case State::kActivating:
      return after(limits_.activating);
    case State::kProbation: {
      std::chrono::milliseconds left = record_.probation_for - record_.probation_elapsed;
      if (left <= std::chrono::milliseconds{0} &&
          record_.served_requests < record_.probation_requests) {
        left += limits_.probation_idle_extension;
      }
      return after(std::max(left, std::chrono::milliseconds{1}));
    }
    case State::kRollingBack:
      return after(limits_.rolling_back);
    default:
      deadline_.reset();
  }
}

}  // namespace skerry::agent::activation
