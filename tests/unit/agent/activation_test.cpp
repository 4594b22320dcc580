#include "skerry/agent/activation.hpp"

#include <algorithm>
#include <map>
#include <ostream>

#include <gtest/gtest.h>

namespace skerry::agent::activation {

void PrintTo(const Step& step, std::ostream* out) {
  *out << to_string(step.action) << " journal=" << step.journal << " cancel=" << step.cancel_work
       << " bad=" << step.mark_bad << " report=" << step.report;
}

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr BootTime kStart{seconds{100}};

Event event(EventKind kind, BootTime now = kStart) {
  Event made{};
  made.kind = kind;
  made.now = now;
  if (kind == EventKind::kOffer) {
    made.offer.generation = 7;
    made.offer.target = "models/acme/log-triage/1.2.0";
    made.offer.rollout_id = "r1";
  }
  if (kind == EventKind::kPreflightPassed) {
    made.manifest_digest = "sha256:aa";
    made.variant = "q4_k_m";
    made.reasons = {"q4_k_m: fits"};
    made.probation_for = minutes{5};
    made.probation_requests = 3;
  }
  made.error = Error{Error::Code::kGateFailed, "wrong answers"};
  return made;
}

// A machine brought to `state` by the events of an ordinary life.
Machine machine_in(State state, Limits limits = {}) {
  static const std::map<State, std::vector<EventKind>> kPaths{
      {State::kIdle, {}},
      {State::kOffered, {EventKind::kOffer}},
      {State::kPreflight, {EventKind::kOffer, EventKind::kRetryLater}},
      {State::kFetching, {EventKind::kOffer, EventKind::kPreflightPassed}},
      {State::kVerified, {EventKind::kOffer, EventKind::kPreflightPassed, EventKind::kFetched}},
      {State::kStaged,
       {EventKind::kOffer, EventKind::kPreflightPassed, EventKind::kFetched, EventKind::kAdmitted}},
      {State::kGating,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen}},
      {State::kActivating,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen,
        EventKind::kGatePassed}},
      {State::kProbation,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen,
        EventKind::kGatePassed,
        EventKind::kActivated}},
      {State::kCommitted, {EventKind::kOffer, EventKind::kAlreadyActive}},
      {State::kRejected, {EventKind::kOffer, EventKind::kPreflightFailed}},
      {State::kQuarantined,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmissionFailed,
        EventKind::kPreflightFailed}},
      {State::kRollingBack,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen,
        EventKind::kGatePassed,
        EventKind::kActivated,
        EventKind::kHealthBreach}},
      {State::kRolledBack,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen,
        EventKind::kGatePassed,
        EventKind::kActivated,
        EventKind::kHealthBreach,
        EventKind::kRolledBack}},
      {State::kSafe,
       {EventKind::kOffer,
        EventKind::kPreflightPassed,
        EventKind::kFetched,
        EventKind::kAdmitted,
        EventKind::kWindowOpen,
        EventKind::kGatePassed,
        EventKind::kActivated,
        EventKind::kHealthBreach,
        EventKind::kRollbackFailed}},
  };
  Machine machine{limits};
  for (const EventKind kind : kPaths.at(state)) {
    machine.step(event(kind));
  }
  EXPECT_EQ(machine.state(), state) << to_string(state);
  return machine;
}

struct Row {
  State from;
  EventKind event;
  State to;
  Step step;
};

// Every pair that is not listed (kOffer of a new generation, kRestarted and kTimer have tests of
// their own below) leaves the machine as it was.
const std::vector<Row>& rows() {
  using A = Action;
  using E = EventKind;
  using S = State;
  const auto go = [](A action) { return Step{.action = action, .journal = true, .report = true}; };
  const Step rest{.journal = true, .report = true};
  const Step next{.action = A::kPreflight,
                  .journal = true,
                  .cancel_work = true,
                  .mark_bad = true,
                  .report = true};
  const Step back{.action = A::kRollBack,
                  .journal = true,
                  .cancel_work = true,
                  .mark_bad = true,
                  .report = true};
  // clang-format off
  static const std::vector<Row> table{
      {S::kOffered,     E::kPreflightPassed, S::kFetching,    go(A::kFetch)},
      {S::kOffered,     E::kAlreadyActive,   S::kCommitted,   rest},
      {S::kOffered,     E::kPreflightFailed, S::kRejected,    rest},
      {S::kOffered,     E::kRetryLater,      S::kPreflight,   Step{.action = A::kRetryPreflight}},
      {S::kPreflight,   E::kPreflightPassed, S::kFetching,    go(A::kFetch)},
      {S::kPreflight,   E::kAlreadyActive,   S::kCommitted,   rest},
      {S::kPreflight,   E::kPreflightFailed, S::kRejected,    rest},
      {S::kPreflight,   E::kRetryLater,      S::kPreflight,   Step{.action = A::kRetryPreflight}},
      {S::kFetching,    E::kFetched,         S::kVerified,    go(A::kAdmit)},
      {S::kFetching,    E::kFetchFailed,     S::kRejected,    rest},
      {S::kFetching,    E::kRetryLater,      S::kFetching,    Step{.action = A::kRetryFetch}},
      {S::kVerified,    E::kAdmitted,        S::kStaged,      go(A::kAwaitWindow)},
      {S::kVerified,    E::kAdmissionFailed, S::kPreflight,   next},
      {S::kStaged,      E::kWindowOpen,      S::kGating,      go(A::kGate)},
      {S::kGating,      E::kGatePassed,      S::kActivating,  go(A::kActivate)},
      {S::kGating,      E::kGateFailed,      S::kPreflight,   next},
      {S::kActivating,  E::kActivated,       S::kProbation,   go(A::kWatch)},
      {S::kActivating,  E::kActivateFailed,  S::kRejected,    rest},
      {S::kProbation,   E::kServed,          S::kProbation,   Step{}},
      {S::kProbation,   E::kUncleanExit,     S::kProbation,   Step{.journal = true}},
      {S::kProbation,   E::kHealthBreach,    S::kRollingBack, back},
      {S::kProbation,   E::kManualRollback,  S::kRollingBack, back},
      {S::kProbation,   E::kCommitted,       S::kCommitted,   rest},
      {S::kRollingBack, E::kRolledBack,      S::kRolledBack,  rest},
      {S::kRollingBack, E::kRollbackFailed,  S::kSafe,        rest},
      {S::kIdle,        E::kManualRollback,  S::kRolledBack,  rest},
      {S::kCommitted,   E::kManualRollback,  S::kRolledBack,  rest},
      {S::kRejected,    E::kManualRollback,  S::kRolledBack,  rest},
      {S::kQuarantined, E::kManualRollback,  S::kRolledBack,  rest},
      {S::kRolledBack,  E::kManualRollback,  S::kRolledBack,  rest},
      {S::kSafe,        E::kManualRollback,  S::kRolledBack,  rest},
  };
  // clang-format on
  return table;
}

TEST(ActivationTable, EveryListedPairDoesWhatItsRowSays) {
  for (const Row& row : rows()) {
    Machine machine = machine_in(row.from);
    const Step step = machine.step(event(row.event));
    const std::string name =
        std::string{to_string(row.from)} + " × " + std::string{to_string(row.event)};
    EXPECT_EQ(machine.state(), row.to) << name;
    EXPECT_EQ(step, row.step) << name;
  }
}

TEST(ActivationTable, EveryOtherPairChangesNothing) {
  int checked = 0;
  for (const State state : all_states()) {
    for (const EventKind kind : all_event_kinds()) {
      if (kind == EventKind::kOffer || kind == EventKind::kRestarted || kind == EventKind::kTimer) {
        continue;
      }
      const bool listed = std::any_of(rows().begin(), rows().end(), [&](const Row& row) {
        return row.from == state && row.event == kind;
      });
      if (listed) {
        continue;
      }
      Machine machine = machine_in(state);
      const Record before = machine.record();
      EXPECT_EQ(machine.step(event(kind)), Step{}) << to_string(state) << " × " << to_string(kind);
      EXPECT_EQ(machine.record(), before) << to_string(state) << " × " << to_string(kind);
      ++checked;
    }
  }
  EXPECT_EQ(checked + static_cast<int>(rows().size()),
            static_cast<int>(all_states().size() * (all_event_kinds().size() - 3)));
}

TEST(Activation, NewGenerationCancelsWhateverHasNotReachedActivating) {
  for (const State state : all_states()) {
    Machine machine = machine_in(state);
    Event offer = event(EventKind::kOffer);
    offer.offer.generation = 8;
    offer.offer.target = "models/acme/log-triage/1.3.0";
    const Step step = machine.step(offer);
    switch (state) {
      case State::kActivating:
      case State::kProbation:
      case State::kRollingBack:
        EXPECT_EQ(machine.state(), state);
        EXPECT_EQ(step, Step{.journal = true}) << to_string(state);
        ASSERT_TRUE(machine.record().queued);
        EXPECT_EQ(machine.record().queued->generation, 8U);
        break;
      default:
        EXPECT_EQ(machine.state(), State::kOffered) << to_string(state);
        EXPECT_EQ(step.action, Action::kPreflight);
        EXPECT_EQ(step.cancel_work, !is_resting(state)) << to_string(state);
    }
  }
}

TEST(Activation, AnOldOrEqualGenerationIsDropped) {
  Machine machine = machine_in(State::kCommitted);
  EXPECT_EQ(machine.step(event(EventKind::kOffer)), Step{});
  EXPECT_EQ(machine.state(), State::kCommitted);
}

TEST(Activation, AQueuedGenerationStartsWhenTheTrialIsOver) {
  Machine machine = machine_in(State::kProbation);
  Event offer = event(EventKind::kOffer);
  offer.offer.generation = 9;
  machine.step(offer);
  const Step step = machine.step(event(EventKind::kCommitted));
  EXPECT_EQ(machine.state(), State::kOffered);
  EXPECT_EQ(machine.record().offer.generation, 9U);
  EXPECT_EQ(step.action, Action::kPreflight);
  EXPECT_FALSE(machine.record().queued);
}

TEST(Activation, AnEmptyTargetEmptiesTheSlot) {
  Machine machine = machine_in(State::kCommitted);
  Event offer = event(EventKind::kOffer);
  offer.offer.generation = 10;
  offer.offer.target.clear();
  EXPECT_EQ(machine.step(offer).action, Action::kDeactivate);
  machine.step(event(EventKind::kActivated));
  EXPECT_EQ(machine.state(), State::kIdle);
}

TEST(Activation, RestartResumesOrRepairsEveryState) {
  struct Case {
    State from;
    bool active_matches;
    State to;
    Action action;
  };
  const std::vector<Case> cases{
      {State::kOffered, false, State::kOffered, Action::kPreflight},
      {State::kPreflight, false, State::kPreflight, Action::kPreflight},
      {State::kFetching, false, State::kFetching, Action::kFetch},
      {State::kVerified, false, State::kVerified, Action::kAdmit},
      {State::kStaged, false, State::kStaged, Action::kAwaitWindow},
      {State::kGating, false, State::kGating, Action::kGate},
      {State::kActivating, false, State::kActivating, Action::kActivate},
      {State::kActivating, true, State::kProbation, Action::kWatch},
      {State::kProbation, true, State::kProbation, Action::kWatch},
      {State::kRollingBack, true, State::kRollingBack, Action::kRollBack},
      {State::kRollingBack, false, State::kRolledBack, Action::kNone},
      {State::kIdle, false, State::kIdle, Action::kNone},
      {State::kCommitted, true, State::kCommitted, Action::kNone},
      {State::kSafe, false, State::kSafe, Action::kNone},
  };
  for (const Case& row : cases) {
    // Through the journal, as a real restart does.
    Result<Record> journalled = Record::from_json(machine_in(row.from).record().to_json());
    ASSERT_TRUE(journalled) << journalled.error().to_string();
    Machine machine{Limits{}, *journalled};
    Event restarted = event(EventKind::kRestarted);
    restarted.active_matches = row.active_matches;
    const Step step = machine.step(restarted);
    EXPECT_EQ(machine.state(), row.to) << to_string(row.from);
    EXPECT_EQ(step.action, row.action) << to_string(row.from);
    EXPECT_EQ(machine.deadline().has_value(), !is_resting(row.to)) << to_string(row.from);
  }
}

TEST(Activation, AModelThatTakesTheDaemonDownInTheGateIsQuarantined) {
  Record record = machine_in(State::kGating).record();
  Step step;
  for (int restart = 0; restart < 3; ++restart) {
    Machine machine{Limits{}, record};
    step = machine.step(event(EventKind::kRestarted));
    record = machine.record();
  }
  EXPECT_EQ(record.state, State::kPreflight);
  EXPECT_EQ(record.failed_variants, std::vector<std::string>{"q4_k_m"});
  EXPECT_EQ(record.gate_attempts, 0U) << "the next variant has its own three starts";
  EXPECT_TRUE(step.mark_bad);
}

// A version whose variants fail one after the other: what is marked, what is tried next, where it
// ends.
TEST(Activation, EachFailedVariantIsMarkedAndTheNextIsTried) {
  struct Case {
    const char* name;
    std::vector<std::pair<std::string, EventKind>> tried;  // variant, how it ends
    bool none_left;                                        // PREFLIGHT finds no other
    State to;
    int marks;
  };
  using E = EventKind;
  const std::vector<Case> cases{
      {"the only one fails its gate", {{"a", E::kGateFailed}}, true, State::kQuarantined, 1},
      {"the only one is malformed", {{"a", E::kAdmissionFailed}}, true, State::kQuarantined, 1},
      {"the second passes",
       {{"a", E::kGateFailed}, {"b", E::kGatePassed}},
       false,
       State::kActivating,
       1},
      {"the third passes",
       {{"a", E::kGateFailed}, {"b", E::kAdmissionFailed}, {"c", E::kGatePassed}},
       false,
       State::kActivating,
       2},
      {"three fail: no fourth is fetched",
       {{"a", E::kGateFailed}, {"b", E::kGateFailed}, {"c", E::kGateFailed}},
       false,
       State::kQuarantined,
       3},
      {"a breach in probation goes back and tries nothing",
       {{"a", E::kGateFailed}, {"b", E::kHealthBreach}},
       false,
       State::kRollingBack,
       2},
  };
  for (const Case& row : cases) {
    Machine machine{Limits{}};
    int marks = 0;
    const auto feed = [&](EventKind kind, const std::string& variant = {}) {
      Event made = event(kind);
      made.variant = variant;
      const std::string before = machine.record().variant;
      if (machine.step(made).mark_bad) {
        ++marks;
        EXPECT_EQ(machine.record().variant, before) << row.name;
      }
    };
    feed(E::kOffer);
    for (const auto& [variant, end] : row.tried) {
      feed(E::kPreflightPassed, variant);
      feed(E::kFetched);
      if (end != E::kAdmissionFailed) {
        feed(E::kAdmitted);
        feed(E::kWindowOpen);
      }
      if (end == E::kHealthBreach) {
        feed(E::kGatePassed);
        feed(E::kActivated);
      }
      feed(end);
    }
    if (row.none_left) {
      EXPECT_EQ(machine.state(), State::kPreflight) << row.name;
      feed(E::kPreflightFailed);
    }
    EXPECT_EQ(machine.state(), row.to) << row.name;
    EXPECT_EQ(marks, row.marks) << row.name;
    if (row.to == State::kQuarantined) {
      EXPECT_EQ(machine.record().reason_code, "gate_failed") << row.name;
      EXPECT_NE(machine.record().reason.find("a: wrong answers"), std::string::npos) << row.name;
    }
  }
}

TEST(Activation, EveryWorkingStateHasADeadlineThatEndsIt) {
  for (const State state : all_states()) {
    Machine machine = machine_in(state);
    if (is_resting(state)) {
      EXPECT_FALSE(machine.deadline()) << to_string(state);
      continue;
    }
    ASSERT_TRUE(machine.deadline()) << to_string(state);
    EXPECT_EQ(machine.step(event(EventKind::kTimer, *machine.deadline() - seconds{1})), Step{});
    const Step step = machine.step(event(EventKind::kTimer, *machine.deadline()));
    if (state == State::kProbation) {
      continue;
    }
    EXPECT_TRUE(step.cancel_work) << to_string(state);
    // A gate that takes too long condemns the variant; the next one is tried.
    EXPECT_EQ(is_resting(machine.state()), state != State::kGating) << to_string(state);
    EXPECT_EQ(step.mark_bad, state == State::kGating) << to_string(state);
    EXPECT_EQ(machine.record().reason_code,
              state == State::kRollingBack ? machine.record().reason_code : "deadline_exceeded");
  }
}

TEST(Activation, AGateThatTheMachineCannotHoldRejectsWithoutBlamingTheModel) {
  Machine machine = machine_in(State::kGating);
  Event failed = event(EventKind::kGateFailed);
  failed.error = Error{Error::Code::kWorkerSetup, "no seccomp"};
  const Step step = machine.step(failed);
  EXPECT_EQ(machine.state(), State::kRejected);
  EXPECT_FALSE(step.mark_bad);
}

TEST(Probation, EndsAfterItsTimeAndItsRequests) {
  Machine machine = machine_in(State::kProbation);
  Event served = event(EventKind::kServed, kStart + minutes{1});
  served.count = 3;
  EXPECT_EQ(machine.step(served), Step{});
  const Step step = machine.step(event(EventKind::kTimer, kStart + minutes{5}));
  EXPECT_EQ(step.action, Action::kCommit);
  EXPECT_EQ(machine.state(), State::kProbation);
  machine.step(event(EventKind::kCommitted));
  EXPECT_EQ(machine.state(), State::kCommitted);
}

TEST(Probation, WaitsForRequestsUpToTheIdleExtension) {
  Machine machine = machine_in(State::kProbation);
  EXPECT_EQ(machine.step(event(EventKind::kTimer, kStart + minutes{5})).action, Action::kNone);
  Event served = event(EventKind::kServed, kStart + minutes{6});
  served.count = 3;
  EXPECT_EQ(machine.step(served).action, Action::kCommit);

  Machine idle = machine_in(State::kProbation);
  EXPECT_EQ(idle.step(event(EventKind::kTimer, kStart + minutes{5})).action, Action::kNone);
  ASSERT_TRUE(idle.deadline());
  EXPECT_EQ(idle.step(event(EventKind::kTimer, *idle.deadline())).action, Action::kCommit);
}

TEST(Probation, ThirdUncleanExitRollsBackAndRemembersTheDigest) {
  Machine machine = machine_in(State::kProbation);
  EXPECT_EQ(machine.step(event(EventKind::kUncleanExit)), Step{.journal = true});
  EXPECT_EQ(machine.step(event(EventKind::kUncleanExit)), Step{.journal = true});
  const Step step = machine.step(event(EventKind::kUncleanExit));
  EXPECT_EQ(machine.state(), State::kRollingBack);
  EXPECT_EQ(step.action, Action::kRollBack);
  EXPECT_TRUE(step.mark_bad);
  EXPECT_NE(machine.record().reason.find("3 unclean worker exits"), std::string::npos);
}

TEST(Probation, CrashesAreCountedAcrossRestarts) {
  Machine first = machine_in(State::kProbation);
  first.step(event(EventKind::kUncleanExit));
  first.step(event(EventKind::kUncleanExit));
  Result<Record> record = Record::from_json(first.record().to_json());
  ASSERT_TRUE(record);
  Machine second{Limits{}, *record};
  Event restarted = event(EventKind::kRestarted);
  restarted.active_matches = true;
  second.step(restarted);
  EXPECT_EQ(second.step(event(EventKind::kUncleanExit)).action, Action::kRollBack);
}

TEST(Activation, GivesUpAfterTooManyStateWrites) {
  Limits limits;
  limits.max_transitions = 2;
  Machine machine{limits};
  machine.step(event(EventKind::kOffer));
  machine.step(event(EventKind::kPreflightPassed));
  machine.step(event(EventKind::kFetched));
  EXPECT_EQ(machine.state(), State::kRejected);
}

TEST(Record, JsonKeepsEveryMember) {
  Machine machine = machine_in(State::kGating);
  machine.step(event(EventKind::kGateFailed));
  for (const EventKind kind : {EventKind::kPreflightPassed,
                               EventKind::kFetched,
                               EventKind::kAdmitted,
                               EventKind::kWindowOpen,
                               EventKind::kGatePassed,
                               EventKind::kActivated}) {
    machine.step(event(kind));
  }
  EXPECT_EQ(machine.record().failed_variants.size(), 1U);
  Event offer = event(EventKind::kOffer);
  offer.offer.generation = 11;
  machine.step(offer);
  machine.step(event(EventKind::kUncleanExit));
  Result<Record> back = Record::from_json(machine.record().to_json());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, machine.record());
}

TEST(Record, RemembersTheBundleOfAnOffer) {
  Machine machine{Limits{}};
  Event offer = event(EventKind::kOffer);
  offer.offer.bundle = "plant-a.7";
  machine.step(offer);
  Result<Record> back = Record::from_json(machine.record().to_json());
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->offer.bundle, "plant-a.7");
  EXPECT_EQ(*back, machine.record());
}

TEST(Record, RefusesADocumentThatIsNotOne) {
  for (const char* text : {"", "{}", "[]", "{\"state\":\"NOWHERE\"}"}) {
    Result<Record> record = Record::from_json(text);
    ASSERT_FALSE(record) << text;
    EXPECT_EQ(record.error().code(), Error::Code::kParse);
  }
}

TEST(Activation, AModelThatIsRevokedAtRestSaysSo) {
  Machine machine = machine_in(State::kCommitted);
  Event stop = event(EventKind::kManualRollback);
  stop.error = Error{Error::Code::kPermissionDenied, "revoked (stop) by cve-1: poisoned"};
  machine.step(stop);
  EXPECT_EQ(machine.state(), State::kRolledBack);
  EXPECT_EQ(machine.record().reason_code, "revoked");
  EXPECT_EQ(machine.record().reason, "revoked (stop) by cve-1: poisoned");
}

}  // namespace
}  // namespace skerry::agent::activation
