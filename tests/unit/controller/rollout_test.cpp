#include "skerry/controller/rollout.hpp"

#include <gtest/gtest.h>

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;
using Kind = RolloutAction::Kind;
using Status = DeviceStatus;
using State = RolloutState;

constexpr WallTime kNow{1'700'000'000'000ms};

// One device in a row: "w0 committed", "w1 offered away".
struct Row {
  std::string name;
  State state;
  std::uint32_t wave;
  std::uint32_t max_failures;
  std::chrono::milliseconds soak;
  std::chrono::milliseconds in_state;
  std::vector<RolloutDeviceView> devices;
  std::optional<RolloutAction> expected;
};

RolloutDeviceView device(std::uint32_t wave, Status status, bool online = true) {
  static int counter = 0;
  return {"gw-" + std::to_string(++counter), wave, status, online, ""};
}

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows{
      {"a draft waits for approval",
       State::kDraft,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kWaiting)},
       std::nullopt},
      {"what is approved is scheduled",
       State::kApproved,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kWaiting)},
       RolloutAction{Kind::kSchedule, 0, {}}},
      {"what is due begins with the canary",
       State::kScheduled,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kWaiting)},
       RolloutAction{Kind::kStartWave, 0, {}}},
      {"a wave waits for an online device",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted), device(0, Status::kInstalling)},
       std::nullopt},
      {"an offered device that is online is waited for",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted), device(0, Status::kOffered)},
       std::nullopt},
      {"an offline device leaves the denominator",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted),
        device(0, Status::kOffered, false),
        device(1, Status::kWaiting)},
       RolloutAction{Kind::kStartWave, 1, {}}},
      {"a canary that is all offline is waited for",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kOffered, false), device(1, Status::kWaiting)},
       std::nullopt},
      {"a canary that all rejected halts",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kRejected), device(1, Status::kWaiting)},
       RolloutAction{
           Kind::kHalt, 0, "no device of the canary wave could take it (1 rejected, 0 failed)"}},
      {"a rejection beside a commit passes",
       State::kRunning,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kRejected), device(0, Status::kCommitted)},
       RolloutAction{Kind::kFinish, 0, {}}},
      {"a settled wave soaks when it must",
       State::kRunning,
       0,
       1,
       10s,
       0ms,
       {device(0, Status::kCommitted)},
       RolloutAction{Kind::kBeginSoak, 0, {}}},
      {"a soak is waited for",
       State::kSoaking,
       0,
       1,
       10s,
       9999ms,
       {device(0, Status::kCommitted)},
       std::nullopt},
      {"after the soak the next wave begins",
       State::kSoaking,
       0,
       1,
       10s,
       10s,
       {device(0, Status::kCommitted), device(1, Status::kWaiting)},
       RolloutAction{Kind::kStartWave, 1, {}}},
      {"a clock set back never shortens a soak",
       State::kSoaking,
       0,
       1,
       10s,
       -1h,
       {device(0, Status::kCommitted)},
       std::nullopt},
      {"after the last soak it is done",
       State::kSoaking,
       1,
       1,
       10s,
       11s,
       {device(0, Status::kCommitted), device(1, Status::kCommitted)},
       RolloutAction{Kind::kFinish, 1, {}}},
      {"the last wave ends although its devices are offline",
       State::kRunning,
       1,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted), device(1, Status::kOffered, false)},
       RolloutAction{Kind::kFinish, 1, {}}},
      {"below the limit of failures it goes on",
       State::kRunning,
       0,
       2,
       0ms,
       0ms,
       {device(0, Status::kFailed), device(0, Status::kCommitted), device(1, Status::kWaiting)},
       RolloutAction{Kind::kStartWave, 1, {}}},
      {"a draft with failures stays a draft",
       State::kDraft,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kFailed)},
       std::nullopt},
      {"a paused rollout offers nothing",
       State::kPaused,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted), device(1, Status::kWaiting)},
       std::nullopt},
      {"done is final", State::kDone, 1, 1, 0ms, 0ms, {device(0, Status::kFailed)}, std::nullopt},
      {"halted is final",
       State::kHalted,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kFailed)},
       std::nullopt},
      {"aborted is final",
       State::kAborted,
       0,
       1,
       0ms,
       0ms,
       {device(0, Status::kCommitted)},
       std::nullopt},
  };
  return kRows;
}

RolloutSnapshot snapshot_of(const Row& row) {
  RolloutSnapshot snapshot;
  snapshot.state = row.state;
  snapshot.wave = row.wave;
  snapshot.max_failures = row.max_failures;
  snapshot.soak = row.soak;
  snapshot.now = kNow;
  snapshot.since = kNow - row.in_state;
  snapshot.devices = row.devices;
  for (const auto& view : row.devices) {
    snapshot.waves = std::max(snapshot.waves, view.wave + 1);
  }
  return snapshot;
}

TEST(NextAction, DecidesEveryRowOfTheTable) {
  for (const Row& row : rows()) {
    const auto action = next_action(snapshot_of(row));
    EXPECT_EQ(action.has_value(), row.expected.has_value()) << row.name;
    if (action && row.expected) {
      EXPECT_EQ(action->kind, row.expected->kind) << row.name;
      EXPECT_EQ(action->wave, row.expected->wave) << row.name;
      EXPECT_EQ(action->reason, row.expected->reason) << row.name;
    }
  }
}

TEST(NextAction, HaltsAtTheLimitInEveryActiveStateAndSaysWho) {
  for (const State state : {State::kRunning, State::kSoaking, State::kPaused}) {
    RolloutSnapshot snapshot;
    snapshot.state = state;
    snapshot.waves = 2;
    snapshot.wave = 1;
    snapshot.max_failures = 2;
    snapshot.now = kNow;
    snapshot.since = kNow;
    snapshot.soak = 1h;
    snapshot.devices = {{"gw-a", 0, Status::kFailed, true, "QUARANTINED: gate_failed"},
                        {"gw-b", 1, Status::kFailed, false, ""},
                        {"gw-c", 1, Status::kInstalling, true, ""}};
    const auto action = next_action(snapshot);
    ASSERT_TRUE(action) << to_string(state);
    EXPECT_EQ(action->kind, Kind::kHalt);
    EXPECT_EQ(action->reason, "2 failed, the limit is 2: gw-a (QUARANTINED: gate_failed); gw-b");
  }
}

TEST(NextAction, ALimitOfZeroFailuresCountsAsOne) {
  RolloutSnapshot snapshot;
  snapshot.state = State::kRunning;
  snapshot.max_failures = 0;
  snapshot.devices = {{"a", 0, Status::kCommitted, true, ""}};
  EXPECT_EQ(next_action(snapshot)->kind, Kind::kFinish);
  snapshot.devices.push_back({"b", 0, Status::kFailed, true, ""});
  EXPECT_EQ(next_action(snapshot)->kind, Kind::kHalt);
}

TEST(NextAction, AScheduledRolloutWaitsForItsTime) {
  RolloutSnapshot snapshot;
  snapshot.state = State::kScheduled;
  snapshot.now = kNow;
  snapshot.not_before = kNow + 1ms;
  EXPECT_FALSE(next_action(snapshot));
  snapshot.not_before = kNow;
  EXPECT_TRUE(next_action(snapshot));
}

TEST(PlanWaves, PutsOnlineDevicesIntoTheCanary) {
  const auto plan = plan_waves({{"c", false}, {"b", true}, {"a", false}, {"d", true}}, 1);
  ASSERT_EQ(plan.size(), 4U);
  EXPECT_EQ(plan[0].device_id, "b");
  EXPECT_EQ(plan[0].wave, 0U);
  EXPECT_EQ(plan[1].wave, 1U);
  EXPECT_EQ(plan[3].device_id, "c");
}

TEST(PlanWaves, ACanaryOfNoneIsOneAndOfMoreThanAllIsAll) {
  EXPECT_EQ(plan_waves({{"a", true}, {"b", true}}, 0)[0].wave, 0U);
  EXPECT_EQ(plan_waves({{"a", true}, {"b", true}}, 0)[1].wave, 1U);
  EXPECT_EQ(plan_waves({{"a", true}, {"b", true}}, 100)[1].wave, 0U);
}

TEST(ReportedStates, MapToRolloutStatus) {
  EXPECT_EQ(status_of_report("COMMITTED"), Status::kCommitted);
  EXPECT_EQ(status_of_report("REJECTED"), Status::kRejected);
  for (const auto* failed : {"QUARANTINED", "ROLLING_BACK", "ROLLED_BACK", "SAFE"}) {
    EXPECT_EQ(status_of_report(failed), Status::kFailed) << failed;
  }
  for (const auto* busy : {"OFFERED", "FETCHING", "GATING", "PROBATION", "SOMETHING_NEW"}) {
    EXPECT_EQ(status_of_report(busy), Status::kInstalling) << busy;
  }
}

}  // namespace
}  // namespace skerry::controller
