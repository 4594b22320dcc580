#include "skerry/controller/rollout.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace skerry::controller {
namespace {

struct WaveCount {
  std::uint32_t pending = 0;  // online and not settled
  std::uint32_t away = 0;     // offline and not settled
  std::uint32_t committed = 0;
  std::uint32_t rejected = 0;
  std::uint32_t failed = 0;
};

WaveCount count_wave(const RolloutSnapshot& snapshot, std::uint32_t wave) {
  WaveCount count;
  for (const auto& device : snapshot.devices) {
    if (device.wave != wave) {
      continue;
    }
    switch (device.status) {
      case DeviceStatus::kCommitted:
        ++count.committed;
        break;
      case DeviceStatus::kRejected:
        ++count.rejected;
        break;
      case DeviceStatus::kFailed:
        ++count.failed;
        break;
      default:
        ++(device.online ? count.pending : count.away);
    }
  }
  return count;
}

// Failures count over all devices, also those of earlier waves that failed late.
std::optional<RolloutAction> halt_on_failures(const RolloutSnapshot& snapshot) {
  const std::uint32_t limit = std::max(snapshot.max_failures, 1U);
  std::uint32_t failed = 0;
  std::string who;
  for (const auto& device : snapshot.devices) {
    if (device.status != DeviceStatus::kFailed) {
      continue;
    }
    ++failed;
    if (failed <= 3) {
      who += (who.empty() ? "" : "; ") + device.device_id +
             (device.detail.empty() ? "" : " (" + device.detail + ")");
    }
  }
  if (failed < limit) {
    return std::nullopt;
  }
  return RolloutAction{
      RolloutAction::Kind::kHalt,
      snapshot.wave,
      std::to_string(failed) + " failed, the limit is " + std::to_string(limit) + ": " + who};
}

std::optional<RolloutAction> after_wave(const RolloutSnapshot& snapshot) {
  if (snapshot.wave + 1 < snapshot.waves) {
    return RolloutAction{RolloutAction::Kind::kStartWave, snapshot.wave + 1, {}};
  }
  return RolloutAction{RolloutAction::Kind::kFinish, snapshot.wave, {}};
}

std::optional<RolloutAction> running(const RolloutSnapshot& snapshot) {
  const WaveCount count = count_wave(snapshot, snapshot.wave);
  if (count.pending > 0) {
    return std::nullopt;
  }
  if (snapshot.wave == 0 && count.committed == 0) {
    if (count.away > 0) {
      return std::nullopt;
    }
    return RolloutAction{RolloutAction::Kind::kHalt,
                         0,
                         "no device of the canary wave could take it (" +
                             std::to_string(count.rejected) + " rejected, " +
                             std::to_string(count.failed) + " failed)"};
  }
  if (snapshot.soak.count() > 0) {
    return RolloutAction{RolloutAction::Kind::kBeginSoak, snapshot.wave, {}};
  }
  return after_wave(snapshot);
}

}  // namespace

std::string_view to_string(RolloutState state) noexcept {
  switch (state) {
    case RolloutState::kDraft:
      return "DRAFT";
    case RolloutState::kApproved:
      return "APPROVED";
    case RolloutState::kScheduled:
      return "SCHEDULED";
    case RolloutState::kRunning:
      return "RUNNING";
    case RolloutState::kSoaking:
      return "SOAKING";
    case RolloutState::kPaused:
      return "PAUSED";
    case RolloutState::kHalted:
      return "HALTED";
    case RolloutState::kDone:
      return "DONE";
    case RolloutState::kAborted:
      return "ABORTED";
  }
  return "UNKNOWN";
}

bool is_final(RolloutState state) noexcept {
  return state == RolloutState::kHalted || state == RolloutState::kDone ||
         state == RolloutState::kAborted;
}

namespace {
constexpr std::array kStatusNames{std::pair{DeviceStatus::kWaiting, "waiting"},
                                  std::pair{DeviceStatus::kOffered, "offered"},
                                  std::pair{DeviceStatus::kInstalling, "installing"},
                                  std::pair{DeviceStatus::kCommitted, "committed"},
                                  std::pair{DeviceStatus::kRejected, "rejected"},
                                  std::pair{DeviceStatus::kFailed, "failed"}};
}  // namespace

std::string_view to_string(DeviceStatus status) noexcept {
  for (const auto& [value, name] : kStatusNames) {
    if (value == status) {
      return name;
    }
  }
  return "unknown";
}

Result<DeviceStatus> parse_device_status(std::string_view text) {
  for (const auto& [value, name] : kStatusNames) {
    if (text == name) {
      return value;
    }
  }
  return Error{Error::Code::kParse, "\"" + std::string{text} + "\" is no rollout device status"};
}

DeviceStatus status_of_report(std::string_view activation_state) noexcept {
  if (activation_state == "COMMITTED") {
    return DeviceStatus::kCommitted;
  }
  if (activation_state == "REJECTED") {
    return DeviceStatus::kRejected;
  }
  for (const std::string_view failed : {"QUARANTINED", "ROLLING_BACK", "ROLLED_BACK", "SAFE"}) {
    if (activation_state == failed) {
      return DeviceStatus::kFailed;
    }
  }
  return DeviceStatus::kInstalling;
}

std::optional<RolloutAction> next_action(const RolloutSnapshot& snapshot) {
  switch (snapshot.state) {
    case RolloutState::kApproved:
      return RolloutAction{RolloutAction::Kind::kSchedule, 0, {}};
    case RolloutState::kScheduled:
      if (snapshot.now < snapshot.not_before) {
        return std::nullopt;
      }
      return RolloutAction{RolloutAction::Kind::kStartWave, 0, {}};
    case RolloutState::kRunning:
      if (auto halt = halt_on_failures(snapshot)) {
        return halt;
      }
      return running(snapshot);
    case RolloutState::kSoaking:
      if (auto halt = halt_on_failures(snapshot)) {
        return halt;
      }
      // A clock that was set back makes the soak longer, never shorter.
      if (snapshot.now - snapshot.since < snapshot.soak) {
        return std::nullopt;
      }
      return after_wave(snapshot);
    case RolloutState::kPaused:
      return halt_on_failures(snapshot);
    case RolloutState::kDraft:
    case RolloutState::kHalted:
    case RolloutState::kDone:
    case RolloutState::kAborted:
      return std::nullopt;
  }
  return std::nullopt;
}

std::vector<PlannedDevice> plan_waves(std::vector<WaveCandidate> devices, std::uint32_t canary) {
  std::stable_sort(devices.begin(), devices.end(), [](const auto& a, const auto& b) {
    return a.online != b.online ? a.online : a.device_id < b.device_id;
  });
  const std::size_t first = std::max(canary, 1U);
  std::vector<PlannedDevice> planned;
  planned.reserve(devices.size());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    planned.push_back({std::move(devices[i].device_id), i < first ? 0U : 1U});
  }
  return planned;
}

}  // namespace skerry::controller
