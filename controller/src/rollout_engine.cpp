#include "rollout_engine.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/id.hpp"

namespace skerry::controller {
namespace {

constexpr std::size_t kMaxNote = 256;
constexpr std::uint32_t kMaxSoak = 30U * 24U * 3600U;

std::int64_t to_ms(WallTime time) {
  return time.time_since_epoch().count();
}

Error invalid(std::string message) {
  return Error{Error::Code::kInvalidArgument, std::move(message)};
}

}  // namespace

RolloutEngine::RolloutEngine(Store& store,
                             DeviceGateway& gateway,
                             ChangeHub& changes,
                             Guard& guard,
                             const Clock& clock,
                             Random& random,
                             Log log)
    : store_(store),
      gateway_(gateway),
      changes_(changes),
      guard_(guard),
      clock_(clock),
      random_(random),
      log_(std::move(log)) {}

Result<std::set<std::string>> RolloutEngine::devices_of(const NewRollout& request) {
  const auto known = store_.devices(request.tenant_id, "");
  if (!known) {
    return known.error();
  }
  std::set<std::string> ids;
  for (const auto& device : *known) {
    if (!device.revoked) {
      ids.insert(device.device_id);
    }
  }
  if (!request.device_ids.empty()) {
    std::set<std::string> wanted{request.device_ids.begin(), request.device_ids.end()};
    for (const auto& id : wanted) {
      if (!ids.contains(id)) {
        return invalid("there is no device \"" + id.substr(0, 80) + "\"");
      }
    }
    ids = std::move(wanted);
  }
  if (ids.empty()) {
    return invalid("no device is enrolled: a rollout needs at least one");
  }
  return ids;
}

Result<void> RolloutEngine::check_free(const NewRollout& request,
                                       const std::set<std::string>& ids) {
  const auto open = store_.open_rollouts();
  if (!open) {
    return open.error();
  }
  for (const auto& other : *open) {
    if (other.slot != request.slot || other.tenant_id != request.tenant_id) {
      continue;
    }
    const auto members = store_.rollout_devices(other.rollout_id);
    if (!members) {
      return members.error();
    }
    for (const auto& member : *members) {
      if (ids.contains(member.device_id)) {
        return Error{Error::Code::kFailedPrecondition,
                     "rollout " + other.rollout_id + " (" + other.target +
                         ") is busy with the slot " + request.slot + " of " + member.device_id +
                         ": wait for it or abort it"};
      }
    }
  }
  return {};
}

Result<std::string> RolloutEngine::create(const NewRollout& request) {
  if (auto named = check_name(request.slot, "slot"); !named) {
    return named.error();
  }
  if (request.note.size() > kMaxNote || !is_utf8(request.note) || request.soak_seconds > kMaxSoak) {
    return invalid("a rollout has a note of at most 256 bytes and soaks at most 30 days");
  }
  const auto ids = devices_of(request);
  if (!ids) {
    return ids.error();
  }
  const std::lock_guard lock{rounds_};
  if (auto free = check_free(request, *ids); !free) {
    return free.error();
  }
  std::vector<WaveCandidate> candidates;
  candidates.reserve(ids->size());
  for (const auto& id : *ids) {
    candidates.push_back({id, gateway_.connected(id)});
  }
  RolloutRecord rollout;
  rollout.rollout_id = "ro-" + random_.hex(6);
  std::vector<RolloutDeviceRecord> members;
  for (auto& planned : plan_waves(std::move(candidates), request.canary_devices)) {
    RolloutDeviceRecord member;
    member.rollout_id = rollout.rollout_id;
    member.device_id = std::move(planned.device_id);
    member.wave = planned.wave;
    rollout.waves = std::max(rollout.waves, planned.wave + 1);
    members.push_back(std::move(member));
  }
  rollout.tenant_id = request.tenant_id;
  rollout.target = request.target;
  rollout.manifest_digest = request.manifest_digest;
  rollout.slot = request.slot;
  // Whoever may create a rollout has approved it, and it is due at once.
  rollout.state = RolloutState::kScheduled;
  rollout.canary_devices = std::max(request.canary_devices, 1U);
  rollout.max_failures = std::max(request.max_failures, 1U);
  rollout.soak_seconds = request.soak_seconds;
  rollout.note = request.note;
  rollout.created_by = request.created_by;
  rollout.created_ms = to_ms(clock_.wall_now());
  rollout.since_ms = rollout.created_ms;
  if (auto added = store_.add_rollout(rollout, members); !added) {
    return added.error();
  }
  return rollout.rollout_id;
}

Result<void> RolloutEngine::act(const std::string& rollout_id, OperatorAction action) {
  const std::lock_guard lock{rounds_};
  const auto found = store_.find_rollout(rollout_id);
  if (!found) {
    return found.error();
  }
  if (!*found) {
    return Error{Error::Code::kNotFound,
                 "there is no rollout \"" + rollout_id.substr(0, 80) + "\""};
  }
  RolloutRecord rollout = **found;
  const RolloutState was = rollout.state;
  const auto refuse = [&was](std::string_view verb) {
    return Error{
        Error::Code::kFailedPrecondition,
        "a rollout that is " + std::string{to_string(was)} + " cannot be " + std::string{verb}};
  };
  rollout.changed_ms = to_ms(clock_.wall_now());
  rollout.since_ms = rollout.changed_ms;
  std::vector<std::string> changed;
  switch (action) {
    case OperatorAction::kPause:
      if (is_final(was) || was == RolloutState::kPaused) {
        return refuse("paused");
      }
      rollout.state = RolloutState::kPaused;
      rollout.resume_state = was;
      rollout.reason = "paused by an operator";
      if (auto moved = store_.update_rollout(rollout, was); !moved) {
        return moved;
      }
      break;
    case OperatorAction::kResume:
      if (was != RolloutState::kPaused) {
        return refuse("resumed");
      }
      rollout.state = rollout.resume_state;
      rollout.reason.clear();
      if (auto moved = store_.update_rollout(rollout, was); !moved) {
        return moved;
      }
      break;
    case OperatorAction::kAbort: {
      if (is_final(was)) {
        return refuse("aborted");
      }
      rollout.state = RolloutState::kAborted;
      rollout.reason = "aborted by an operator";
      auto withdrawn = store_.end_rollout(rollout, was);
      if (!withdrawn) {
        return withdrawn.error();
      }
      changed = std::move(*withdrawn);
      break;
    }
  }
  gateway_.push_desired(changed);
  changes_.notify(rollout_id);
  return {};
}

void RolloutEngine::poke() {
  {
    const std::lock_guard lock{flags_};
    if (running_) {
      again_ = true;
      return;
    }
    running_ = true;
  }
  for (;;) {
    round();
    const std::lock_guard lock{flags_};
    if (!std::exchange(again_, false)) {
      running_ = false;
      return;
    }
  }
}

void RolloutEngine::round() {
  const std::lock_guard lock{rounds_};
  const auto open = store_.open_rollouts();
  if (!open) {
    log_.error("rollout.read_failed", open.error());
    return;
  }
  for (const auto& rollout : *open) {
    changes_.notify(rollout.rollout_id);
    // APPROVED -> SCHEDULED -> RUNNING … each step sees the store as the last one left it.
    for (auto current = std::optional{rollout}; current;) {
      const auto stepped = step(*current);
      if (!stepped) {
        log_.error("rollout.step_failed", stepped.error().with_context(rollout.rollout_id));
        break;
      }
      if (!*stepped) {
        break;
      }
      const auto next = store_.find_rollout(rollout.rollout_id);
      current = next ? *next : std::nullopt;
    }
  }
}

Result<bool> RolloutEngine::step(const RolloutRecord& rollout) {
  const auto devices = store_.rollout_devices(rollout.rollout_id);
  if (!devices) {
    return devices.error();
  }
  RolloutSnapshot snapshot;
  snapshot.state = rollout.state;
  snapshot.wave = rollout.wave;
  snapshot.waves = rollout.waves;
  snapshot.max_failures = rollout.max_failures;
  snapshot.soak = std::chrono::seconds{rollout.soak_seconds};
  snapshot.now = clock_.wall_now();
  snapshot.since = WallTime{std::chrono::milliseconds{rollout.since_ms}};
  for (const auto& device : *devices) {
    snapshot.devices.push_back({device.device_id,
                                device.wave,
                                device.status,
                                gateway_.online(device.device_id),
                                device.detail});
  }
  const auto action = next_action(snapshot);
  if (!action) {
    return false;
  }
  if (auto done = perform(rollout, *action); !done) {
    return done.error();
  }
  return true;
}

Result<void> RolloutEngine::perform(RolloutRecord rollout, const RolloutAction& action) {
  const RolloutState was = rollout.state;
  rollout.changed_ms = to_ms(clock_.wall_now());
  rollout.since_ms = rollout.changed_ms;
  rollout.reason = action.reason;
  Result<std::vector<std::string>> changed{std::vector<std::string>{}};
  switch (action.kind) {
    case RolloutAction::Kind::kStartWave:
      rollout.state = RolloutState::kRunning;
      rollout.wave = action.wave;
      changed = store_.start_wave(rollout, was);
      break;
    case RolloutAction::Kind::kHalt:
      rollout.state = RolloutState::kHalted;
      changed = store_.end_rollout(rollout, was);
      break;
    case RolloutAction::Kind::kSchedule:
    case RolloutAction::Kind::kBeginSoak:
    case RolloutAction::Kind::kFinish: {
      rollout.state = action.kind == RolloutAction::Kind::kSchedule    ? RolloutState::kScheduled
                      : action.kind == RolloutAction::Kind::kBeginSoak ? RolloutState::kSoaking
                                                                       : RolloutState::kDone;
      if (auto moved = store_.update_rollout(rollout, was); !moved) {
        return moved;
      }
      break;
    }
  }
  if (!changed) {
    return changed.error();
  }
  gateway_.push_desired(*changed);
  record(rollout, to_string(rollout.state));
  changes_.notify(rollout.rollout_id);
  return {};
}

void RolloutEngine::record(const RolloutRecord& rollout, std::string_view state) {
  log_.info("rollout.state",
            {{"rollout", rollout.rollout_id},
             {"state", state},
             {"wave", rollout.wave},
             {"target", rollout.target},
             {"reason", rollout.reason}});
  if (rollout.state == RolloutState::kScheduled) {
    return;
  }
  security::AuditEvent event;
  event.audit_class = security::AuditClass::kModelChange;
  event.action = "rollout." + std::string{state};
  std::transform(event.action.begin(), event.action.end(), event.action.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  event.actor = security::Principal::system("rollout");
  event.authn_method = "internal";
  event.object.slot = rollout.slot;
  event.object.manifest_digest = rollout.manifest_digest;
  event.reason = rollout.reason;
  event.outcome = rollout.state == RolloutState::kHalted ? security::AuditOutcome::kFailure
                                                         : security::AuditOutcome::kSuccess;
  event.details = Json::Object{{"rollout", rollout.rollout_id},
                               {"target", rollout.target},
                               {"wave", static_cast<std::int64_t>(rollout.wave)}};
  guard_.record(event);
}

}  // namespace skerry::controller
