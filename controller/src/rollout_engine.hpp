#pragma once

// Performs what `next_action` decides: one transaction per action, then the push to the devices.
// Reports, returning devices, operators and the clock poke it; pokes that come while it works are
// folded into one more round. Thread-safe.

#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/random.hpp"
#include "skerry/controller/rollout.hpp"
#include "skerry/controller/store.hpp"

#include "change_hub.hpp"
#include "device_gateway.hpp"
#include "guard.hpp"

namespace skerry::controller {

struct NewRollout {
  std::string tenant_id;
  std::string target;
  std::string manifest_digest;
  std::string slot;
  std::vector<std::string> device_ids;
  std::uint32_t canary_devices = 1;
  std::uint32_t max_failures = 1;
  std::uint32_t soak_seconds = 0;
  std::string note;
  std::string created_by;
};

enum class OperatorAction { kPause, kResume, kAbort };

class RolloutEngine {
 public:
  // The referred objects must outlive the engine.
  RolloutEngine(Store& store,
                DeviceGateway& gateway,
                ChangeHub& changes,
                Guard& guard,
                const Clock& clock,
                Random& random,
                Log log);

  // Adds it as SCHEDULED; the next `poke` starts it. Returns its id.
  // kInvalidArgument for no devices or one that is not of the tenant; kFailedPrecondition if
  // another rollout is busy with the slot of one of the devices.
  Result<std::string> create(const NewRollout& rollout);
  // kFailedPrecondition if the rollout's state does not allow it.
  Result<void> act(const std::string& rollout_id, OperatorAction action);

  // Looks at every open rollout until there is nothing left to do. Blocks on the store.
  void poke();

 private:
  // The devices that it is for: those named, or all that are not revoked.
  Result<std::set<std::string>> devices_of(const NewRollout& request);
  // No open rollout is busy with the slot of one of `ids`. Called within a round.
  Result<void> check_free(const NewRollout& request, const std::set<std::string>& ids);
  void round();
  // One step; true if there was one.
  Result<bool> step(const RolloutRecord& rollout);
  Result<void> perform(RolloutRecord rollout, const RolloutAction& action);
  void record(const RolloutRecord& rollout, std::string_view action);

  Store& store_;
  DeviceGateway& gateway_;
  ChangeHub& changes_;
  Guard& guard_;
  const Clock& clock_;
  Random& random_;
  Log log_;
  // Held while a round runs; the flags fold pokes.
  std::mutex rounds_;
  std::mutex flags_;
  bool running_ = false;
  bool again_ = false;
};

}  // namespace skerry::controller
