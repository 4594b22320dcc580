// The names of states, events and actions, and the journal's JSON form of a record.
#include <array>
#include <utility>

#include "skerry/agent/activation.hpp"

namespace skerry::agent::activation {
namespace {

constexpr std::array kStateNames{
    std::pair{State::kIdle, std::string_view{"IDLE"}},
    std::pair{State::kOffered, std::string_view{"OFFERED"}},
    std::pair{State::kPreflight, std::string_view{"PREFLIGHT"}},
    std::pair{State::kFetching, std::string_view{"FETCHING"}},
    std::pair{State::kVerified, std::string_view{"VERIFIED"}},
    std::pair{State::kStaged, std::string_view{"STAGED"}},
    std::pair{State::kGating, std::string_view{"GATING"}},
    std::pair{State::kActivating, std::string_view{"ACTIVATING"}},
    std::pair{State::kProbation, std::string_view{"PROBATION"}},
    std::pair{State::kCommitted, std::string_view{"COMMITTED"}},
    std::pair{State::kRejected, std::string_view{"REJECTED"}},
    std::pair{State::kQuarantined, std::string_view{"QUARANTINED"}},
    std::pair{State::kRollingBack, std::string_view{"ROLLING_BACK"}},
    std::pair{State::kRolledBack, std::string_view{"ROLLED_BACK"}},
    std::pair{State::kSafe, std::string_view{"SAFE"}},
};

constexpr std::array kEventNames{
    std::pair{EventKind::kOffer, std::string_view{"offer"}},
    std::pair{EventKind::kRestarted, std::string_view{"restarted"}},
    std::pair{EventKind::kPreflightPassed, std::string_view{"preflight_passed"}},
    std::pair{EventKind::kAlreadyActive, std::string_view{"already_active"}},
    std::pair{EventKind::kPreflightFailed, std::string_view{"preflight_failed"}},
    std::pair{EventKind::kRetryLater, std::string_view{"retry_later"}},
    std::pair{EventKind::kFetched, std::string_view{"fetched"}},
    std::pair{EventKind::kFetchFailed, std::string_view{"fetch_failed"}},
    std::pair{EventKind::kAdmitted, std::string_view{"admitted"}},
    std::pair{EventKind::kAdmissionFailed, std::string_view{"admission_failed"}},
    std::pair{EventKind::kWindowOpen, std::string_view{"window_open"}},
    std::pair{EventKind::kGatePassed, std::string_view{"gate_passed"}},
    std::pair{EventKind::kGateFailed, std::string_view{"gate_failed"}},
    std::pair{EventKind::kActivated, std::string_view{"activated"}},
    std::pair{EventKind::kActivateFailed, std::string_view{"activate_failed"}},
    std::pair{EventKind::kServed, std::string_view{"served"}},
    std::pair{EventKind::kUncleanExit, std::string_view{"unclean_exit"}},
    std::pair{EventKind::kHealthBreach, std::string_view{"health_breach"}},
    std::pair{EventKind::kTimer, std::string_view{"timer"}},
    std::pair{EventKind::kRolledBack, std::string_view{"rolled_back"}},
    std::pair{EventKind::kRollbackFailed, std::string_view{"rollback_failed"}},
    std::pair{EventKind::kCommitted, std::string_view{"committed"}},
    std::pair{EventKind::kManualRollback, std::string_view{"manual_rollback"}},
};

Json to_json_value(const Offer& offer) {
  Json::Object object;
  object.emplace("generation", Json{offer.generation});
  object.emplace("target", Json{offer.target});
  object.emplace("manifest_digest", Json{offer.manifest_digest});
  object.emplace("rollout_id", Json{offer.rollout_id});
  if (!offer.bundle.empty()) {
    object.emplace("bundle", Json{offer.bundle});
  }
  return Json{std::move(object)};
}

// Reads members one after another and keeps the first error.
class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  void text(std::string_view key, std::string& out) {
    take(json_.get_string(key), [&out](std::string value) { out = std::move(value); });
  }
  template <class Unsigned>
  void count(std::string_view key, Unsigned& out) {
    take(json_.get_int(key),
         [&out](std::int64_t value) { out = static_cast<Unsigned>(value < 0 ? 0 : value); });
  }
  void milliseconds(std::string_view key, std::chrono::milliseconds& out) {
    take(json_.get_int(key),
         [&out](std::int64_t value) { out = std::chrono::milliseconds{value}; });
  }
  void offer(std::string_view key, Offer& out) {
    take(json_.get_object(key), [this, &out](const Json* value) {
      Reader inner{*value};
      inner.count("generation", out.generation);
      inner.text("target", out.target);
      inner.text("manifest_digest", out.manifest_digest);
      inner.text("rollout_id", out.rollout_id);
      if (value->find("bundle") != nullptr) {
        inner.text("bundle", out.bundle);
      }
      if (inner.error_ && !error_) {
        error_ = inner.error_;
      }
    });
  }
  template <class T, class Use>
  void take(Result<T> result, Use use) {
    if (result) {
      use(*std::move(result));
    } else if (!error_) {
      error_ = result.error();
    }
  }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  const Json& json_;
  std::optional<Error> error_;
};

}  // namespace

std::string_view to_string(State state) noexcept {
  for (const auto& [value, name] : kStateNames) {
    if (value == state) {
      return name;
    }
  }
  return "UNKNOWN";
}

Result<State> parse_state(std::string_view name) {
  for (const auto& [value, text] : kStateNames) {
    if (text == name) {
      return value;
    }
  }
  return Error{Error::Code::kParse, "no activation state is called \"" + std::string{name} + "\""};
}

const std::vector<State>& all_states() {
  static const std::vector<State> states = [] {
    std::vector<State> list;
    list.reserve(std::size(kStateNames));
    for (const auto& [value, name] : kStateNames) {
      list.push_back(value);
    }
    return list;
  }();
  return states;
}

std::string_view to_string(EventKind kind) noexcept {
  for (const auto& [value, name] : kEventNames) {
    if (value == kind) {
      return name;
    }
  }
  return "unknown";
}

const std::vector<EventKind>& all_event_kinds() {
  static const std::vector<EventKind> kinds = [] {
    std::vector<EventKind> list;
    list.reserve(std::size(kEventNames));
    for (const auto& [value, name] : kEventNames) {
      list.push_back(value);
    }
    return list;
  }();
  return kinds;
}

std::string_view to_string(Action action) noexcept {
  switch (action) {
    case Action::kNone:
      return "none";
    case Action::kPreflight:
      return "preflight";
    case Action::kFetch:
      return "fetch";
    case Action::kRetryFetch:
      return "retry_fetch";
    case Action::kRetryPreflight:
      return "retry_preflight";
    case Action::kAdmit:
      return "admit";
    case Action::kAwaitWindow:
      return "await_window";
    case Action::kGate:
      return "gate";
    case Action::kActivate:
      return "activate";
    case Action::kDeactivate:
      return "deactivate";
    case Action::kWatch:
      return "watch";
    case Action::kCommit:
      return "commit";
    case Action::kRollBack:
      return "roll_back";
  }
  return "none";
}

std::string Record::to_json() const {
  Json::Object object;
  object.emplace("state", Json{activation::to_string(state)});
  object.emplace("offer", to_json_value(offer));
  object.emplace("queued", queued ? to_json_value(*queued) : Json{nullptr});
  object.emplace("seen_generation", Json{seen_generation});
  object.emplace("manifest_digest", Json{manifest_digest});
  object.emplace("variant", Json{variant});
  Json::Array reasons;
  for (const std::string& text : variant_reasons) {
    reasons.emplace_back(text);
  }
  object.emplace("variant_reasons", Json{std::move(reasons)});
  Json::Array failed;
  for (const std::string& name : failed_variants) {
    failed.emplace_back(name);
  }
  object.emplace("failed_variants", Json{std::move(failed)});
  object.emplace("failure_code", Json{failure_code});
  object.emplace("failure", Json{failure});
  object.emplace("reason_code", Json{reason_code});
  object.emplace("reason", Json{reason});
  object.emplace("transitions", Json{transitions});
  object.emplace("gate_attempts", Json{gate_attempts});
  object.emplace("fetch_attempts", Json{fetch_attempts});
  object.emplace("unclean_exits", Json{unclean_exits});
  object.emplace("served_requests", Json{served_requests});
  object.emplace("probation_elapsed_ms", Json{std::int64_t{probation_elapsed.count()}});
  object.emplace("probation_for_ms", Json{std::int64_t{probation_for.count()}});
  object.emplace("probation_requests", Json{probation_requests});
  return Json{std::move(object)}.dump();
}

Result<Record> Record::from_json(std::string_view text) {
  Result<Json> json = Json::parse(text);
  if (!json) {
    return json.error().with_context("activation journal");
  }
  Record record;
  Reader reader{*json};
  std::string state;
  reader.text("state", state);
  reader.offer("offer", record.offer);
  const Json* queued = json->find("queued");
  if (queued != nullptr && !queued->is_null()) {
    Offer offer;
    reader.offer("queued", offer);
    record.queued = std::move(offer);
  }
  reader.count("seen_generation", record.seen_generation);
  reader.text("manifest_digest", record.manifest_digest);
  reader.text("variant", record.variant);
  reader.take(json->get_array("variant_reasons"), [&record](const Json* list) {
    for (const Json& entry : *list->array()) {
      if (const std::string* reason = entry.string()) {
        record.variant_reasons.push_back(*reason);
      }
    }
  });
  // Absent in journals of versions that refused a manifest with its first variant.
  if (json->find("failed_variants") != nullptr) {
    reader.take(json->get_array("failed_variants"), [&record](const Json* list) {
      for (const Json& entry : *list->array()) {
        if (const std::string* name = entry.string()) {
          record.failed_variants.push_back(*name);
        }
      }
    });
    reader.text("failure_code", record.failure_code);
    reader.text("failure", record.failure);
  }
  reader.text("reason_code", record.reason_code);
  reader.text("reason", record.reason);
  reader.count("transitions", record.transitions);
  reader.count("gate_attempts", record.gate_attempts);
  reader.count("fetch_attempts", record.fetch_attempts);
  reader.count("unclean_exits", record.unclean_exits);
  reader.count("served_requests", record.served_requests);
  reader.milliseconds("probation_elapsed_ms", record.probation_elapsed);
  reader.milliseconds("probation_for_ms", record.probation_for);
  reader.count("probation_requests", record.probation_requests);
  if (reader.error()) {
    return reader.error()->with_context("activation journal");
  }
  Result<State> parsed = parse_state(state);
  if (!parsed) {
    return parsed.error().with_context("activation journal");
  }
  record.state = *parsed;
  return record;
}

}  // namespace skerry::agent::activation
