// The client against a repository that attacks it. Each test asserts what is trusted on disk
// afterwards.

#include <gtest/gtest.h>

#include "skerry/security/tuf/client.hpp"

#include "fault_file_system.hpp"
#include "repository_simulator.hpp"
#include "temp_dir.hpp"

namespace skerry::security::tuf {
namespace {

using namespace std::chrono_literals;
using test::MemoryMetadataStore;
using test::RepositorySimulator;

const WallTime kNow = *parse_rfc3339("2026-11-22T12:00:00Z");
constexpr std::string_view kPath = "models/acme/log-triage/1.0.0";

class TufClientTest : public ::testing::Test {
 protected:
  TufClientTest() {
    EXPECT_TRUE(client_.bootstrap(repo_.first_root));
    repo_.add_target(std::string{kPath}, "manifest");
    repo_.publish_targets();
  }

  Result<RefreshOutcome> refresh(WallTime now = kNow,
                                 TimeQuality quality = TimeQuality::kSynchronised) {
    return client_.refresh(TrustedTime{now, quality});
  }

  void expect_refused(Error::Code code) {
    const auto outcome = refresh();
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), code) << outcome.error().to_string();
  }

  void expect_trusted(std::int64_t root,
                      std::int64_t timestamp,
                      std::int64_t snapshot,
                      std::int64_t targets) {
    EXPECT_EQ(store_.version(Role::kRoot), root);
    EXPECT_EQ(store_.version(Role::kTimestamp), timestamp);
    EXPECT_EQ(store_.version(Role::kSnapshot), snapshot);
    EXPECT_EQ(store_.version(Role::kTargets), targets);
  }

  RepositorySimulator repo_{kNow};
  MemoryMetadataStore store_;
  Client client_{store_, repo_};
};

TEST_F(TufClientTest, FindsAVerifiedTarget) {
  const auto outcome = refresh();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_TRUE(outcome->changed);
  EXPECT_TRUE(outcome->warnings.empty());
  EXPECT_EQ(outcome->issued, kNow);
  ASSERT_NE(client_.find_target(kPath), nullptr);
  EXPECT_TRUE(client_.find_target(kPath)->check("manifest"));
  EXPECT_EQ(client_.find_target("models/acme/other/1.0.0"), nullptr);
  expect_trusted(1, 2, 2, 2);
}

TEST_F(TufClientTest, FetchesNothingTwice) {
  ASSERT_TRUE(refresh());
  repo_.fetched.clear();
  const auto again = refresh();
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(repo_.fetched, (std::vector<std::string>{"2.root.json", "timestamp.json"}));
}

TEST_F(TufClientTest, WorksOfflineWithWhatWasVerified) {
  ASSERT_TRUE(refresh());
  repo_.served.clear();
  Client later{store_, repo_};
  EXPECT_EQ(later.find_target(kPath), nullptr);
  ASSERT_TRUE(later.load(TrustedTime{kNow + 24h * 3650, TimeQuality::kSynchronised}));
  EXPECT_NE(later.find_target(kPath), nullptr);
}

TEST_F(TufClientTest, RefusesWithoutAProvisionedRoot) {
  MemoryMetadataStore empty;
  Client stranger{empty, repo_};
  const auto outcome = stranger.refresh(TrustedTime{kNow, TimeQuality::kSynchronised});
  EXPECT_EQ(outcome.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_FALSE(stranger.load(TrustedTime{kNow, TimeQuality::kSynchronised}));
}

TEST_F(TufClientTest, AnotherRootCannotReplaceTheTrustedOne) {
  const RepositorySimulator evil{kNow};
  ASSERT_TRUE(client_.bootstrap(evil.first_root));
  EXPECT_EQ(store_.files[Role::kRoot], repo_.first_root);
}

TEST_F(TufClientTest, FollowsRootRotationsInSequence) {
  repo_.set_keys(Role::kRoot, {RepositorySimulator::new_key()});
  repo_.publish_root();
  repo_.signers[Role::kRoot].erase(repo_.signers[Role::kRoot].begin());
  repo_.set_keys(Role::kRoot, {RepositorySimulator::new_key()});
  repo_.publish_root();
  ASSERT_TRUE(refresh());
  expect_trusted(3, 2, 2, 2);
}

TEST_F(TufClientTest, RootSignedByTheOldKeysOnly) {
  const auto old_keys = repo_.signers[Role::kRoot];
  repo_.set_keys(Role::kRoot, {RepositorySimulator::new_key()});
  repo_.signers[Role::kRoot] = old_keys;
  repo_.publish_root();
  expect_refused(Error::Code::kThresholdNotMet);
  expect_trusted(1, 0, 0, 0);
}

TEST_F(TufClientTest, RootSignedByTheNewKeysOnly) {
  repo_.set_keys(Role::kRoot, {RepositorySimulator::new_key()});
  repo_.signers[Role::kRoot].erase(repo_.signers[Role::kRoot].begin());
  repo_.publish_root();
  expect_refused(Error::Code::kThresholdNotMet);
  expect_trusted(1, 0, 0, 0);
}

TEST_F(TufClientTest, RootBelowItsThreshold) {
  const auto a = RepositorySimulator::new_key();
  const auto b = RepositorySimulator::new_key(KeyAlgorithm::kEcdsaP256);
  repo_.set_keys(Role::kRoot, {a, b}, 2);
  repo_.signers[Role::kRoot].pop_back();
  repo_.publish_root();
  expect_refused(Error::Code::kThresholdNotMet);
  repo_.signers[Role::kRoot].push_back(b);
  repo_.root["version"] = Json{1};
  repo_.publish_root();
  EXPECT_TRUE(refresh());
  expect_trusted(2, 2, 2, 2);
}

TEST_F(TufClientTest, RootVersionSkipped) {
  repo_.root["version"] = Json{2};
  repo_.publish_root();
  repo_.served["2.root.json"] = repo_.served["3.root.json"];
  expect_refused(Error::Code::kMetadataMismatch);
  expect_trusted(1, 0, 0, 0);
}

TEST_F(TufClientTest, RootVersionRollback) {
  repo_.served["2.root.json"] = repo_.first_root;
  expect_refused(Error::Code::kRollback);
}

TEST_F(TufClientTest, FinalRootExpiredButAnIntermediateMayBe) {
  const Json good = repo_.root["expires"];
  repo_.root["expires"] = Json{to_rfc3339(kNow - 24h)};
  repo_.publish_root();
  expect_refused(Error::Code::kMetadataExpired);
  repo_.root["expires"] = good;
  repo_.publish_root();
  EXPECT_TRUE(refresh());
  expect_trusted(3, 2, 2, 2);
}

TEST_F(TufClientTest, TimestampByAnotherKey) {
  repo_.signers[Role::kTimestamp] = {RepositorySimulator::new_key()};
  repo_.publish_timestamp();
  expect_refused(Error::Code::kThresholdNotMet);
  expect_trusted(1, 0, 0, 0);
}

TEST_F(TufClientTest, TimestampRollback) {
  const std::string old = repo_.served["timestamp.json"];
  repo_.publish_timestamp();
  ASSERT_TRUE(refresh());
  repo_.served["timestamp.json"] = old;
  expect_refused(Error::Code::kRollback);
  expect_trusted(1, 3, 2, 2);
}

TEST_F(TufClientTest, TimestampWithAnOlderSnapshot) {
  repo_.publish_snapshot();
  ASSERT_TRUE(refresh());
  repo_.snapshot["version"] = Json{1};
  repo_.publish_snapshot();
  expect_refused(Error::Code::kRollback);
  expect_trusted(1, 3, 3, 2);
}

TEST_F(TufClientTest, FreezeAttackEndsWithTheTimestamp) {
  ASSERT_TRUE(refresh());
  const auto frozen = refresh(kNow + 24h * 31);
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().code(), Error::Code::kMetadataExpired);
  expect_trusted(1, 2, 2, 2);
}

TEST_F(TufClientTest, AnUnattestedClockTurnsExpiryIntoAWarning) {
  const auto outcome = refresh(kNow + 24h * 31, TimeQuality::kUnattested);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->warnings.size(), 4U);
  EXPECT_NE(client_.find_target(kPath), nullptr);
}

TEST_F(TufClientTest, AnUnattestedClockDoesNotSoftenVersions) {
  const std::string old = repo_.served["timestamp.json"];
  repo_.publish_timestamp();
  ASSERT_TRUE(refresh());
  repo_.served["timestamp.json"] = old;
  const auto outcome = refresh(kNow, TimeQuality::kFloor);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Error::Code::kRollback);
}

TEST_F(TufClientTest, SnapshotWithOtherBytesThanTheTimestampSays) {
  repo_.served["2.snapshot.json"] += " ";
  expect_refused(Error::Code::kTooLarge);
  repo_.served["2.snapshot.json"].pop_back();
  repo_.served["2.snapshot.json"].back() = ' ';
  expect_refused(Error::Code::kMetadataMismatch);
  expect_trusted(1, 2, 0, 0);
}

TEST_F(TufClientTest, SnapshotByAnotherKey) {
  repo_.signers[Role::kSnapshot] = {RepositorySimulator::new_key()};
  repo_.publish_snapshot();
  expect_refused(Error::Code::kThresholdNotMet);
  expect_trusted(1, 3, 0, 0);
}

TEST_F(TufClientTest, SnapshotVersionOtherThanTheTimestampSays) {
  repo_.with_hashes = false;
  repo_.publish_snapshot();
  repo_.served["3.snapshot.json"] = repo_.served["2.snapshot.json"];
  expect_refused(Error::Code::kMetadataMismatch);
  expect_trusted(1, 3, 0, 0);
}

TEST_F(TufClientTest, SnapshotWithOlderTargets) {
  repo_.publish_targets();
  ASSERT_TRUE(refresh());
  repo_.targets["version"] = Json{1};
  repo_.publish_targets();
  expect_refused(Error::Code::kRollback);
  expect_trusted(1, 4, 3, 3);
}

TEST_F(TufClientTest, SnapshotFromWhichARoleDisappeared) {
  Json::Object meta = *repo_.snapshot["meta"].object();
  Json::Object with_role = meta;
  with_role["acme.json"] = *Json::parse(R"({"version":1})");
  repo_.snapshot["meta"] = Json{with_role};
  repo_.publish_snapshot();
  ASSERT_TRUE(refresh());
  repo_.snapshot["meta"] = Json{meta};
  repo_.publish_snapshot();
  expect_refused(Error::Code::kRollback);
  expect_trusted(1, 4, 3, 2);
}

TEST_F(TufClientTest, MixAndMatchOfTargets) {
  repo_.with_hashes = false;
  repo_.publish_targets();
  repo_.served["3.targets.json"] = repo_.served["2.targets.json"];
  expect_refused(Error::Code::kMetadataMismatch);
  expect_trusted(1, 3, 3, 0);
}

TEST_F(TufClientTest, TargetsByAnotherKey) {
  repo_.signers[Role::kTargets] = {RepositorySimulator::new_key()};
  repo_.publish_targets();
  expect_refused(Error::Code::kThresholdNotMet);
  expect_trusted(1, 3, 3, 0);
  EXPECT_EQ(client_.targets(), nullptr);
}

TEST_F(TufClientTest, TargetsExpired) {
  repo_.targets["expires"] = Json{to_rfc3339(kNow - 1h)};
  repo_.publish_targets();
  expect_refused(Error::Code::kMetadataExpired);
  expect_trusted(1, 3, 3, 0);
}

// The online keys were stolen and the versions driven to the end of the scale; new keys must bring
// the fleet back.
TEST_F(TufClientTest, FastForwardAttackIsHealedByRotation) {
  repo_.timestamp["version"] = Json{1000000};
  repo_.snapshot["version"] = Json{1000000};
  repo_.publish_snapshot();
  ASSERT_TRUE(refresh());
  expect_trusted(1, 1000001, 1000001, 2);
  repo_.set_keys(Role::kTimestamp, {RepositorySimulator::new_key()});
  repo_.set_keys(Role::kSnapshot, {RepositorySimulator::new_key()});
  repo_.publish_root();
  repo_.timestamp["version"] = Json{4};
  repo_.snapshot["version"] = Json{4};
  repo_.publish_snapshot();
  const auto outcome = refresh();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  expect_trusted(2, 5, 5, 2);
}

TEST_F(TufClientTest, EndlessDataIsCutOff) {
  repo_.served["timestamp.json"] = std::string(MetadataLimits::kTimestampBytes + 1, 'x');
  expect_refused(Error::Code::kTooLarge);
  repo_.served["2.root.json"] = std::string(MetadataLimits::kRootBytes + 1, 'x');
  expect_refused(Error::Code::kTooLarge);
}

TEST_F(TufClientTest, AMissingFileIsNotAnUpdate) {
  repo_.served.erase("2.targets.json");
  expect_refused(Error::Code::kNotFound);
  expect_trusted(1, 2, 2, 0);
  EXPECT_EQ(client_.targets(), nullptr);
}

TEST_F(TufClientTest, AFailingStoreFailsTheRefreshAndLosesNothing) {
  ASSERT_TRUE(refresh());
  repo_.publish_targets();
  store_.fail_next_commit = true;
  expect_refused(Error::Code::kIo);
  expect_trusted(1, 2, 2, 2);
  EXPECT_TRUE(refresh());
  expect_trusted(1, 3, 3, 3);
}

TEST_F(TufClientTest, DamagedStoredFilesAreFetchedAnew) {
  ASSERT_TRUE(refresh());
  store_.files[Role::kTargets] = "damaged";
  store_.files[Role::kSnapshot].clear();
  ASSERT_TRUE(refresh());
  EXPECT_NE(client_.find_target(kPath), nullptr);
  expect_trusted(1, 2, 2, 2);
}

// A power cut at every write of an update leaves a device that trusts only verified metadata and
// that the next refresh brings to the newest.
TEST(TufClientFaults, PowerCutAtEveryWrite) {
  for (std::uint64_t k = 0;; ++k) {
    RepositorySimulator repo{kNow};
    test::TempDir dir;
    test::FaultFileSystem fs{dir.path()};
    const TrustedTime time{kNow, TimeQuality::kSynchronised};
    {
      DirectoryMetadataStore store{fs, dir / "meta"};
      Client client{store, repo};
      ASSERT_TRUE(client.bootstrap(repo.first_root));
      ASSERT_TRUE(client.refresh(time));
    }
    repo.set_keys(Role::kTimestamp, {RepositorySimulator::new_key()});
    repo.publish_root();
    repo.add_target(std::string{kPath}, "manifest");
    repo.publish_targets();
    fs.fail_at(k, test::Fault::kPowerCut);
    {
      DirectoryMetadataStore store{fs, dir / "meta"};
      Client client{store, repo};
      static_cast<void>(client.refresh(time).has_value());
    }
    const bool fired = fs.fired();
    fs.restart(test::Loss::kUnsynced);
    DirectoryMetadataStore store{fs, dir / "meta"};
    Client client{store, repo};
    const auto outcome = client.refresh(time);
    ASSERT_TRUE(outcome) << "operation " << k << ": " << outcome.error().to_string();
    EXPECT_NE(client.find_target(kPath), nullptr);
    if (!fired) {
      EXPECT_GT(k, 10U);
      break;
    }
  }
}

}  // namespace
}  // namespace skerry::security::tuf
