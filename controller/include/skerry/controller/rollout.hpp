#pragma once

// The rollout decision, as a pure function: given everything that is known of a rollout, what is
// the next thing to do? The engine (src/rollout_engine.hpp) performs the action in one transaction
// and asks again. No clock, no store, no network here; the tests are rows of a table.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"

namespace skerry::controller {

// Stored and sent by these numbers (skerry.fleet.v1.RolloutState). 8 is the protocol's REVERTING,
// which nothing decides yet.
enum class RolloutState : std::uint8_t {
  kDraft = 1,
  kApproved = 2,
  kScheduled = 3,
  kRunning = 4,
  kSoaking = 5,
  kPaused = 6,
  kHalted = 7,
  kDone = 9,
  kAborted = 10
};

std::string_view to_string(RolloutState state) noexcept;
// DONE, HALTED and ABORTED: nothing more will be decided.
bool is_final(RolloutState state) noexcept;

enum class DeviceStatus : std::uint8_t {
  kWaiting,     // its wave has not begun
  kOffered,     // the desired state names the target; the device has not reported on it
  kInstalling,  // it works on it
  kCommitted,   // it runs it, trial passed
  kRejected,    // it cannot take it (no fitting variant, expired …); no fault of the model
  kFailed       // quarantined or rolled back
};

std::string_view to_string(DeviceStatus status) noexcept;
Result<DeviceStatus> parse_device_status(std::string_view text);
// What the state that a device reports ("FETCHING", "COMMITTED" …) means for its rollout.
DeviceStatus status_of_report(std::string_view activation_state) noexcept;

struct RolloutDeviceView {
  std::string device_id;
  std::uint32_t wave = 0;
  DeviceStatus status = DeviceStatus::kWaiting;
  // Connected now, or seen recently enough to be waited for.
  bool online = true;
  // What the device said, for the reason of a halt.
  std::string detail;
};

struct RolloutSnapshot {
  RolloutState state = RolloutState::kDraft;
  std::uint32_t wave = 0;
  std::uint32_t waves = 1;
  // Halt when this many devices have failed; 0 counts as 1.
  std::uint32_t max_failures = 1;
  std::chrono::milliseconds soak{0};
  WallTime now{};
  // When the present state of the present wave began.
  WallTime since{};
  WallTime not_before{};
  std::vector<RolloutDeviceView> devices;
};

struct RolloutAction {
  enum class Kind {
    kSchedule,   // APPROVED -> SCHEDULED
    kStartWave,  // offer the target to the devices of `wave`; -> RUNNING
    kBeginSoak,  // -> SOAKING
    kFinish,     // -> DONE
    kHalt        // -> HALTED; withdraw the offer from devices that have not taken it up
  };
  Kind kind = Kind::kSchedule;
  std::uint32_t wave = 0;
  std::string reason;

  friend bool operator==(const RolloutAction&, const RolloutAction&) = default;
};

// Nothing: wait for a report, for a device to return, or for time. Devices that are offline leave
// the denominator of their wave and get the target when they return; only the first wave waits for
// at least one device to have committed.
std::optional<RolloutAction> next_action(const RolloutSnapshot& snapshot);

// The wave of each device: `canary` of them (at least 1; devices that are online first) in wave 0,
// the others in wave 1.
struct WaveCandidate {
  std::string device_id;
  bool online = false;
};
struct PlannedDevice {
  std::string device_id;
  std::uint32_t wave = 0;
};
std::vector<PlannedDevice> plan_waves(std::vector<WaveCandidate> devices, std::uint32_t canary);

}  // namespace skerry::controller
