#pragma once

// The activation machine of one slot, without I/O: it takes events and says what to do next.
// `SlotDriver` performs the actions, journals `record()` in the catalogue before each side effect,
// and feeds the outcomes back as events. Cloud, USB and command line all offer through it.
//
//   IDLE → OFFERED → PREFLIGHT → FETCHING → VERIFIED → STAGED → GATING → ACTIVATING → PROBATION →
//   COMMITTED, with REJECTED, QUARANTINED, ROLLING_BACK → ROLLED_BACK, and SAFE.
//
// docs/activation.md has the table; tests/unit/agent/activation_test.cpp holds it row by row.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::activation {

enum class State {
  kIdle,
  kOffered,
  kPreflight,
  kFetching,
  kVerified,
  kStaged,
  kGating,
  kActivating,
  kProbation,
  kCommitted,
  kRejected,
  kQuarantined,
  kRollingBack,
  kRolledBack,
  kSafe
};

// "IDLE", "OFFERED", …: the names in reports, logs and the journal.
std::string_view to_string(State state) noexcept;
Result<State> parse_state(std::string_view name);
const std::vector<State>& all_states();

// Nothing is under way: a new offer starts at once.
bool is_resting(State state) noexcept;

// What the director (or an administrator) asks this slot to run.
struct Offer {
  std::uint64_t generation = 0;
  // "models/<team>/<name>/<version>"; empty: nothing should run in this slot.
  std::string target;
  // "sha256:<hex>" that the offer names; must equal what the image repository signed. Empty: not
  // named.
  std::string manifest_digest;
  std::string rollout_id;
  // The bundle that it comes from and is fetched from; empty: from the controller.
  std::string bundle{};

  friend bool operator==(const Offer&, const Offer&) = default;
};

// All that survives a restart. Written as one JSON document per slot.
struct Record {
  State state = State::kIdle;
  Offer offer;
  // Came while ACTIVATING or later; taken up when that is over.
  std::optional<Offer> queued;
  // Highest generation ever seen, also of offers that were dropped.
  std::uint64_t seen_generation = 0;
  std::string manifest_digest;
  std::string variant;
  std::vector<std::string> variant_reasons;
  // Variants of this offer that failed here, in the order tried, and how the last one did.
  std::vector<std::string> failed_variants;
  std::string failure_code;
  std::string failure;
  std::string reason_code;
  std::string reason;
  std::uint32_t transitions = 0;
  std::uint32_t gate_attempts = 0;
  std::uint32_t fetch_attempts = 0;
  std::uint32_t unclean_exits = 0;
  std::uint64_t served_requests = 0;
  std::chrono::milliseconds probation_elapsed{0};
  std::chrono::milliseconds probation_for{0};
  std::uint64_t probation_requests = 0;

  [[nodiscard]] std::string to_json() const;
  // kParse with the member's name if the document is not one that `to_json` wrote.
  static Result<Record> from_json(std::string_view text);
  friend bool operator==(const Record&, const Record&) = default;
};

struct Limits {
  std::chrono::milliseconds preflight{std::chrono::minutes{10}};
  std::chrono::milliseconds fetching{std::chrono::hours{24 * 14}};
  std::chrono::milliseconds admission{std::chrono::minutes{30}};
  std::chrono::milliseconds staged{std::chrono::hours{24 * 7}};
  std::chrono::milliseconds gating{std::chrono::minutes{15}};
  std::chrono::milliseconds activating{std::chrono::minutes{5}};
  // Probation ends after its time even if nobody asked for an answer, this much later.
  std::chrono::milliseconds probation_idle_extension{std::chrono::hours{24}};
  std::chrono::milliseconds rolling_back{std::chrono::minutes{5}};
  std::uint32_t max_unclean_exits = 3;
  std::uint32_t max_gate_attempts = 3;
  // Variants of one version that may fail here before the version is refused.
  std::uint32_t max_variants = 3;
  // State writes per variant; beyond it the machine gives up, so that no loop wears the flash out.
  std::uint32_t max_transitions = 28;
};

enum class EventKind {
  kOffer,            // `offer`
  kRestarted,        // the daemon started; `active_matches`
  kPreflightPassed,  // `manifest_digest`, `variant`, `reasons`, `probation_*`
  kAlreadyActive,    // PREFLIGHT found the same manifest and variant active
  kPreflightFailed,  // `error`
  kRetryLater,       // the work of the state could not be done now (no network); `error`
  kFetched,          // every byte is here and verified
  kFetchFailed,      // `error`; final
  kAdmitted,         // the strict format check passed
  kAdmissionFailed,  // `error`
  kWindowOpen,       // it may be installed now
  kGatePassed,
  kGateFailed,      // `error`
  kActivated,       // the catalogue committed
  kActivateFailed,  // `error`
  kServed,          // `count` requests were answered by the model on trial
  kUncleanExit,     // its worker died; `error`
  kHealthBreach,    // `error`
  kTimer,           // deadline() has passed
  kRolledBack,
  kRollbackFailed,  // `error`
  kCommitted,       // the catalogue took the model out of trial
  kManualRollback   // an administrator asked, or the model was revoked (kPermissionDenied); `error`
                    // carries who and why
};

std::string_view to_string(EventKind kind) noexcept;
const std::vector<EventKind>& all_event_kinds();

struct Event {
  EventKind kind;
  BootTime now{};
  Offer offer{};
  std::string manifest_digest{};
  std::string variant{};
  std::vector<std::string> reasons{};
  std::chrono::milliseconds probation_for{0};
  std::uint64_t probation_requests = 0;
  std::uint64_t count = 0;
  bool active_matches = false;
  std::optional<Error> error{};
};

enum class Action {
  kNone,
  kPreflight,   // verify the target by TUF, choose the variant
  kFetch,       // fetch what is missing
  kRetryFetch,  // the same, after the back-off of `record().fetch_attempts`
  kRetryPreflight,
  kAdmit,  // strict format check of every model file
  kAwaitWindow,
  kGate,        // golden set in a worker on this machine
  kActivate,    // catalogue: trial generation becomes active
  kDeactivate,  // catalogue: the slot becomes empty
  kWatch,       // probation: count requests and crashes
  kCommit,      // catalogue: trial over
  kRollBack     // catalogue: previous generation becomes active again
};

std::string_view to_string(Action action) noexcept;

struct Step {
  Action action = Action::kNone;
  // Journal `record()` before performing `action`.
  bool journal = false;
  // Stop whatever work of this slot is under way first.
  bool cancel_work = false;
  // Remember `record().variant` of the manifest as bad on this machine.
  bool mark_bad = false;
  // Tell the controller.
  bool report = false;

  friend bool operator==(const Step&, const Step&) = default;
};

class Machine {
 public:
  explicit Machine(Limits limits) : limits_(limits) {}
  // Continues from a journalled record; feed kRestarted next.
  Machine(Limits limits, Record record) : limits_(limits), record_(std::move(record)) {}

  // Never blocks, never fails; an event that means nothing in this state gives an empty step.
  Step step(const Event& event);

  [[nodiscard]] const Record& record() const noexcept { return record_; }
  [[nodiscard]] State state() const noexcept { return record_.state; }
  // When to feed kTimer; none while resting.
  [[nodiscard]] std::optional<BootTime> deadline() const noexcept { return deadline_; }

 private:
  Step take_offer(const Event& event);
  Step begin(const Offer& offer, BootTime now);
  Step restarted(const Event& event);
  Step timer(BootTime now);
  Step on_preflight(const Event& event);
  Step on_install(const Event& event);
  Step on_probation(const Event& event);
  Step on_rollback(const Event& event);
  Step watch_progress(BootTime now);
  Step finish_probation();
  Step enter(State state, Action action, BootTime now);
  Step fail_variant(const Error& error, BootTime now);
  Step stop(State state, const Error& error, bool bad, BootTime now);
  Step rest(State state, BootTime now);
  Step roll_back(const Error& error, BootTime now);
  void arm(BootTime now);

  Limits limits_;
  Record record_;
  std::optional<BootTime> deadline_;
  BootTime probation_since_{};
};

}  // namespace skerry::agent::activation
