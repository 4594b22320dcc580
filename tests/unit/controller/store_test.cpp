#include "skerry/controller/store.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }

  void reopen() {
    store_.reset();
    auto opened = Store::open("sqlite3", (dir_.path() / "controller.db").string());
    ASSERT_TRUE(opened) << opened.error().to_string();
    store_ = std::move(*opened);
  }

  void add_device(const std::string& id) {
    TokenRecord token;
    token.token_id = "token-" + id;
    token.tenant_id = "default";
    token.site_id = "hall-3";
    token.expires_ms = 5000;
    ASSERT_TRUE(store_->add_token(token));
    ASSERT_TRUE(store_->enrol(token.token_id, device(id), certificate(id)));
  }

  static DeviceRecord device(const std::string& id) {
    DeviceRecord record;
    record.device_id = id;
    record.tenant_id = "default";
    record.site_id = "hall-3";
    record.info = std::string{"\x00\xff\n'binary'", 12};
    record.enrolled_ms = 1000;
    record.certificate_expires_ms = 9000;
    return record;
  }

  static CertificateRecord certificate(const std::string& id) {
    CertificateRecord record;
    record.fingerprint = "fp-" + id + std::to_string(++serial_);
    record.kind = "device";
    record.subject = id;
    record.tenant_id = "default";
    record.issued_ms = 1000;
    return record;
  }

  // A rollout of `devices`, one canary, in state RUNNING with the first wave offered.
  RolloutRecord running_rollout(const std::vector<std::string>& devices,
                                const std::string& target = "models/acme/a/1.0.0") {
    RolloutRecord rollout;
    rollout.rollout_id = "r" + std::to_string(++serial_);
    rollout.tenant_id = "default";
    rollout.target = target;
    rollout.manifest_digest = "sha256:aa";
    rollout.slot = "default";
    rollout.state = RolloutState::kScheduled;
    rollout.waves = 2;
    std::vector<RolloutDeviceRecord> members;
    for (const auto& id : devices) {
      RolloutDeviceRecord member;
      member.device_id = id;
      member.wave = members.empty() ? 0 : 1;
      members.push_back(member);
    }
    EXPECT_TRUE(store_->add_rollout(rollout, members));
    rollout.state = RolloutState::kRunning;
    EXPECT_TRUE(store_->start_wave(rollout, RolloutState::kScheduled));
    return rollout;
  }

  SlotReportRecord report(const std::string& device,
                          std::int64_t generation,
                          DeviceStatus status,
                          std::int64_t at = 1) {
    SlotReportRecord record;
    record.device_id = device;
    record.slot = "default";
    record.generation = generation;
    record.at_ms = at;
    record.status = status;
    record.detail = "detail";
    record.report = "bytes";
    return record;
  }

  static OutboxEntry chunk(std::int64_t seq, const std::string& stream = "telemetry") {
    OutboxEntry entry;
    entry.kind = OutboxEntry::Kind::kTelemetry;
    entry.stream = stream;
    entry.seq = seq;
    entry.telemetry.seq = seq;
    entry.telemetry.start_ms = seq * 100;
    entry.telemetry.end_ms = seq * 100 + 99;
    entry.telemetry.points = 3;
    entry.telemetry.chunk = std::string("chunk\0", 6) + std::to_string(seq);
    return entry;
  }

  static OutboxEntry gap(std::int64_t first, std::int64_t last) {
    OutboxEntry entry;
    entry.kind = OutboxEntry::Kind::kGap;
    entry.stream = "telemetry";
    entry.seq = first;
    entry.last_seq = last;
    return entry;
  }

  test::TempDir dir_;
  std::unique_ptr<Store> store_;
  static inline int serial_ = 0;
};

TEST_F(StoreTest, MigratesAnEmptyFileAndKeepsTheDataOnReopening) {
  EXPECT_EQ(*store_->schema_version(), 6);
  add_device("gw-1");
  reopen();
  EXPECT_EQ(*store_->schema_version(), 6);
  const auto found = store_->find_device("gw-1");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((**found).info, device("gw-1").info);
  EXPECT_EQ((**found).site_id, "hall-3");
}

TEST_F(StoreTest, ATokenIsSpentOnce) {
  add_device("gw-1");
  const auto again = store_->enrol("token-gw-1", device("gw-2"), certificate("gw-2"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kEnrolmentRefused);
  EXPECT_FALSE(store_->find_device("gw-2")->has_value());
  EXPECT_EQ((**store_->find_token("token-gw-1")).used_by, "gw-1");
}

TEST_F(StoreTest, TheSameKeyEnrolsAgainAndKeepsItsHistory) {
  add_device("gw-1");
  TokenRecord token;
  token.token_id = "second";
  ASSERT_TRUE(store_->add_token(token));
  auto renewed = device("gw-1");
  renewed.enrolled_ms = 77;
  renewed.certificate_expires_ms = 12345;
  ASSERT_TRUE(store_->enrol("second", renewed, certificate("gw-1")));
  const auto found = **store_->find_device("gw-1");
  EXPECT_EQ(found.certificate_expires_ms, 12345);
  EXPECT_EQ(found.enrolled_ms, 1000);
}

TEST_F(StoreTest, DevicesAreListedByTenantAndSite) {
  add_device("gw-1");
  add_device("gw-2");
  EXPECT_EQ(store_->devices("default", "")->size(), 2U);
  EXPECT_EQ(store_->devices("default", "hall-3")->size(), 2U);
  EXPECT_EQ(store_->devices("default", "hall-4")->size(), 0U);
  EXPECT_EQ(store_->devices("other", "")->size(), 0U);
}

TEST_F(StoreTest, GenerationsGrowAndPassWhatTheDeviceReported) {
  DesiredSlotRecord slot;
  slot.device_id = "gw-1";
  slot.slot = "default";
  EXPECT_EQ(*store_->set_desired(slot), 1);
  EXPECT_EQ(*store_->set_desired(slot), 2);
  ASSERT_TRUE(*store_->apply_report(report("gw-1", 40, DeviceStatus::kCommitted)));
  EXPECT_EQ(*store_->set_desired(slot), 41);
  EXPECT_EQ(*store_->set_desired(slot, 99), 100);
}

TEST_F(StoreTest, AnOlderReportChangesNothing) {
  EXPECT_TRUE(*store_->apply_report(report("gw-1", 2, DeviceStatus::kCommitted, 50)));
  EXPECT_FALSE(*store_->apply_report(report("gw-1", 1, DeviceStatus::kFailed, 90)));
  EXPECT_FALSE(*store_->apply_report(report("gw-1", 2, DeviceStatus::kFailed, 49)));
  const auto reports = *store_->reports("gw-1");
  ASSERT_EQ(reports.size(), 1U);
  EXPECT_EQ(reports[0].status, DeviceStatus::kCommitted);
}

TEST_F(StoreTest, AWaveOffersTheTargetToItsDevicesOnly) {
  const auto rollout = running_rollout({"gw-1", "gw-2"});
  ASSERT_EQ(store_->desired("gw-1")->size(), 1U);
  EXPECT_EQ(store_->desired("gw-1")->front().target, rollout.target);
  EXPECT_EQ(store_->desired("gw-1")->front().generation, 1);
  EXPECT_TRUE(store_->desired("gw-2")->empty());
  const auto devices = *store_->rollout_devices(rollout.rollout_id);
  EXPECT_EQ(devices[0].status, DeviceStatus::kOffered);
  EXPECT_EQ(devices[1].status, DeviceStatus::kWaiting);
}

TEST_F(StoreTest, OnlyAReportOfTheOfferedGenerationCountsForTheRollout) {
  const auto rollout = running_rollout({"gw-1", "gw-2"});
  ASSERT_TRUE(store_->apply_report(report("gw-1", 0, DeviceStatus::kCommitted)));
  EXPECT_EQ(store_->rollout_devices(rollout.rollout_id)->front().status, DeviceStatus::kOffered);
  ASSERT_TRUE(store_->apply_report(report("gw-1", 1, DeviceStatus::kFailed)));
  const auto device = store_->rollout_devices(rollout.rollout_id)->front();
  EXPECT_EQ(device.status, DeviceStatus::kFailed);
  EXPECT_EQ(device.detail, "detail");
}

TEST_F(StoreTest, EndingARolloutWithdrawsOnlyOffersNobodyTookUp) {
  DesiredSlotRecord before;
  before.device_id = "gw-1";
  before.slot = "default";
  before.target = "models/acme/a/0.9.0";
  before.manifest_digest = "sha256:old";
  ASSERT_TRUE(store_->set_desired(before));
  auto rollout = running_rollout({"gw-1", "gw-2"});
  rollout.wave = 1;
  ASSERT_TRUE(store_->start_wave(rollout, RolloutState::kRunning));
  ASSERT_TRUE(store_->apply_report(report("gw-2", 1, DeviceStatus::kInstalling)));
  rollout.state = RolloutState::kHalted;
  const auto changed = store_->end_rollout(rollout, RolloutState::kRunning);
  ASSERT_TRUE(changed);
  EXPECT_EQ(*changed, (std::vector<std::string>{"gw-1"}));
  const auto desired = store_->desired("gw-1")->front();
  EXPECT_EQ(desired.target, "models/acme/a/0.9.0");
  EXPECT_EQ(desired.generation, 3);
  EXPECT_EQ(store_->desired("gw-2")->front().target, rollout.target);
}

TEST_F(StoreTest, ARolloutThatMovedMeanwhileIsNotOverwritten) {
  auto rollout = running_rollout({"gw-1"});
  rollout.state = RolloutState::kDone;
  EXPECT_TRUE(store_->update_rollout(rollout, RolloutState::kRunning));
  rollout.state = RolloutState::kPaused;
  const auto late = store_->update_rollout(rollout, RolloutState::kRunning);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_TRUE(store_->open_rollouts()->empty());
}

TEST_F(StoreTest, OutboxRecordsAreAppliedExactlyOnce) {
  ASSERT_TRUE(store_->apply_outbox("gw-1", "default", {chunk(1), chunk(2)}));
  const auto again = store_->apply_outbox("gw-1", "default", {chunk(1), chunk(2), chunk(3)});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->applied, (std::vector<std::size_t>{2}));
  EXPECT_EQ(again->marks[0].highest_seq, 3);
  EXPECT_EQ(again->marks[0].records, 3);
  EXPECT_EQ(again->marks[0].duplicates, 2);
  const auto chunks = *store_->telemetry("gw-1", 0, 10'000, 100);
  ASSERT_EQ(chunks.size(), 3U);
  EXPECT_EQ(chunks[0].chunk, chunk(1).telemetry.chunk);
}

TEST_F(StoreTest, OutboxMarksSurviveAReopenedStore) {
  ASSERT_TRUE(store_->apply_outbox("gw-1", "default", {chunk(1), chunk(2)}));
  reopen();
  const auto again = store_->apply_outbox("gw-1", "default", {chunk(2), chunk(3)});
  EXPECT_EQ(again->applied.size(), 1U);
  EXPECT_EQ(store_->telemetry("gw-1", 0, 10'000, 100)->size(), 3U);
}

TEST_F(StoreTest, StreamsOfOneDeviceAndDevicesAreApart) {
  ASSERT_TRUE(store_->apply_outbox("gw-1", "default", {chunk(1)}));
  const auto other = store_->apply_outbox("gw-2", "default", {chunk(1)});
  EXPECT_EQ(other->applied.size(), 1U);
  EXPECT_EQ(store_->outbox_marks("gw-1")->size(), 1U);
  EXPECT_EQ(store_->outbox_marks("")->size(), 2U);
}

TEST_F(StoreTest, ADeclaredGapCoversItsNumbers) {
  const auto outcome = store_->apply_outbox("gw-1", "default", {chunk(1), gap(2, 9), chunk(10)});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->marks[0].highest_seq, 10);
  EXPECT_EQ(outcome->marks[0].records, 2);
  EXPECT_EQ(outcome->marks[0].gap_records, 8);
  const auto again = store_->apply_outbox("gw-1", "default", {gap(2, 9)});
  EXPECT_EQ(again->marks[0].duplicates, 1);
  EXPECT_EQ(again->marks[0].gap_records, 8);
}

TEST_F(StoreTest, ANewGapOverNumbersAlreadyHeldCountsOnlyTheRest) {
  ASSERT_TRUE(store_->apply_outbox("gw-1", "default", {chunk(1), chunk(2)}));
  const auto outcome = store_->apply_outbox("gw-1", "default", {gap(2, 4)});
  EXPECT_EQ(outcome->marks[0].gap_records, 2);
  EXPECT_EQ(outcome->marks[0].highest_seq, 4);
}

TEST_F(StoreTest, AnUndeclaredHoleIsRecordedAndTheRestKept) {
  const auto outcome = store_->apply_outbox("gw-1", "default", {chunk(5)});
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->marks[0].highest_seq, 5);
  EXPECT_EQ(outcome->marks[0].gap_records, 4);
  EXPECT_EQ(outcome->applied.size(), 1U);
}

TEST_F(StoreTest, TelemetryIsFoundByTimeAndDroppedByAge) {
  ASSERT_TRUE(store_->apply_outbox("gw-1", "default", {chunk(1), chunk(2), chunk(3)}));
  EXPECT_EQ(store_->telemetry("gw-1", 150, 250, 100)->size(), 2U);
  EXPECT_EQ(store_->telemetry("gw-1", 0, 10'000, 1)->size(), 1U);
  ASSERT_TRUE(store_->drop_telemetry(300));
  EXPECT_EQ(store_->telemetry("gw-1", 0, 10'000, 100)->size(), 1U);
  EXPECT_EQ(store_->outbox_marks("gw-1")->front().highest_seq, 3);
}

TEST_F(StoreTest, APublishedVersionNeverChanges) {
  ManifestRecord manifest;
  manifest.tenant_id = "default";
  manifest.target = "models/acme/a/1.0.0";
  manifest.digest = "sha256:one";
  manifest.content = "{}";
  ASSERT_TRUE(store_->stage_manifest(manifest));
  manifest.digest = "sha256:two";
  ASSERT_TRUE(store_->stage_manifest(manifest)) << "a staged manifest may be replaced";
  ASSERT_TRUE(store_->publish_metadata("default", {}, {manifest.target}, 1));
  EXPECT_TRUE((**store_->find_manifest("default", manifest.target)).published);
  ASSERT_TRUE(store_->stage_manifest(manifest)) << "the same bytes again are fine";
  manifest.digest = "sha256:three";
  const auto refused = store_->stage_manifest(manifest);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kAlreadyExists);
}

TEST_F(StoreTest, CurrentMetadataIsEveryRootAndTheNewestOfTheRest) {
  std::vector<MetadataRecord> files{{"image", "1.root.json", "root", 1, "r1"},
                                    {"image", "2.root.json", "root", 2, "r2"},
                                    {"image", "1.targets.json", "targets", 1, "t1"},
                                    {"image", "2.targets.json", "targets", 2, "t2"},
                                    {"image", "timestamp.json", "timestamp", 2, "ts"}};
  ASSERT_TRUE(store_->publish_metadata("default", files, {}, 1));
  const auto current = *store_->current_metadata("default", "image");
  ASSERT_EQ(current.size(), 4U);
  EXPECT_EQ(current[2].content, "t2");
  EXPECT_EQ((**store_->find_metadata("default", "image", "1.targets.json")).content, "t1");
  EXPECT_FALSE(store_->find_metadata("default", "director", "1.root.json")->has_value());
}

TEST_F(StoreTest, TheWitnessKeepsOneCheckpointPerDevice) {
  using Held = std::optional<AuditWitnessRecord>;
  EXPECT_FALSE(store_->witness("gw-1")->has_value());
  AuditWitnessRecord record;
  record.device_id = "gw-1";
  record.size = 12;
  record.root = "aa";
  ASSERT_TRUE(store_->change_witness("gw-1", [&](const Held& held) -> Result<Held> {
    EXPECT_FALSE(held);
    return Held{record};
  }));
  ASSERT_TRUE(store_->change_witness("gw-1", [](const Held& held) -> Result<Held> {
    Held next = held;
    next->size = 13;
    next->flag = "fork";
    return next;
  }));
  EXPECT_EQ((**store_->witness("gw-1")).size, 13);
  EXPECT_EQ((**store_->witness("gw-1")).flag, "fork");
  EXPECT_EQ((**store_->witness("gw-1")).root, "aa");
  // Nothing and an error leave it as it was.
  ASSERT_TRUE(store_->change_witness("gw-1", [](const Held&) -> Result<Held> { return Held{}; }));
  const Error refused{Error::Code::kAuditCorrupt, "no"};
  EXPECT_EQ(
      store_->change_witness("gw-1", [&](const Held&) -> Result<Held> { return refused; }).error(),
      refused);
  EXPECT_EQ((**store_->witness("gw-1")).size, 13);
}

TEST(StoreOpen, RefusesABackendItDoesNotHave) {
  const auto store = Store::open("postgresql", "host=x");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Error::Code::kUnimplemented);
}

}  // namespace
}  // namespace skerry::controller
