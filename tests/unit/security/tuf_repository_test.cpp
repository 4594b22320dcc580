// The repository tools, from keys to a device that trusts what they made.

#include <gtest/gtest.h>

#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "fault_file_system.hpp"
#include "repository_simulator.hpp"
#include "temp_dir.hpp"

namespace skerry::security::tuf {
namespace {

using namespace std::chrono_literals;
using SignerPtr = std::shared_ptr<const Signer>;

const WallTime kNow = *parse_rfc3339("2026-11-22T12:00:00Z");
const std::string kPath = "models/acme/log-triage/1.0.0";

SignerPtr new_key(KeyAlgorithm algorithm = KeyAlgorithm::kEd25519) {
  return test::RepositorySimulator::new_key(algorithm);
}

// 2-of-3 for root and targets, one online key.
struct Keys {
  std::vector<SignerPtr> offline{new_key(), new_key(KeyAlgorithm::kEcdsaP256), new_key()};
  SignerPtr online = new_key();

  [[nodiscard]] RootSetup setup() const {
    RootSetup out;
    for (const SignerPtr& key : offline) {
      out.root.keys.push_back(key->public_key());
      out.targets.keys.push_back(key->public_key());
    }
    out.root.threshold = 2;
    out.targets.threshold = 2;
    out.snapshot.keys.push_back(online->public_key());
    out.timestamp.keys.push_back(online->public_key());
    return out;
  }
};

Result<void> sign_both(Repository& repo, Role role, const Keys& keys) {
  for (std::size_t i = 0; i < 2; ++i) {
    if (auto done = repo.sign(role, *keys.offline[i]); !done) {
      return done;
    }
  }
  return {};
}

class TufRepositoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<Repository> make() {
    auto repo = Repository::init(fs_, dir_ / "repo", keys_.setup(), lifetimes_, kNow);
    EXPECT_TRUE(repo) << repo.error().to_string();
    return std::move(*repo);
  }
  std::unique_ptr<Repository> published() {
    auto repo = make();
    EXPECT_TRUE(repo->add_target_content(kPath, "manifest", custom(1), lifetimes_, kNow));
    EXPECT_TRUE(sign_both(*repo, Role::kRoot, keys_));
    EXPECT_TRUE(sign_both(*repo, Role::kTargets, keys_));
    const auto done = publish(*repo);
    EXPECT_TRUE(done) << done.error().to_string();
    EXPECT_TRUE(device_.bootstrap(*repo->current_root()));
    return repo;
  }
  [[nodiscard]] Result<void> publish(Repository& repo, WallTime now = kNow) const {
    return repo.publish(*keys_.online, *keys_.online, lifetimes_, now);
  }
  static Json custom(int counter) {
    Json::Object out;
    out["release_counter"] = Json{counter};
    return Json{out};
  }
  Result<RefreshOutcome> refresh(WallTime now = kNow) {
    return device_.refresh(TrustedTime{now, TimeQuality::kSynchronised});
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  Keys keys_;
  RepositoryLifetimes lifetimes_;
  DirectoryMetadataStore store_{fs_, dir_ / "device"};
  DirectoryFetcher fetcher_{fs_, dir_ / "repo" / "metadata"};
  Client device_{store_, fetcher_};
};

TEST_F(TufRepositoryTest, ADeviceTrustsWhatWasPublished) {
  const auto repo = published();
  const auto outcome = refresh();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  ASSERT_NE(device_.find_target(kPath), nullptr);
  EXPECT_EQ(device_.find_target(kPath)->release_counter(), 1);
  EXPECT_EQ(repo->published_targets()->targets.size(), 1U);
}

TEST_F(TufRepositoryTest, NothingIsPublishedBelowTheThreshold) {
  const auto repo = make();
  ASSERT_TRUE(repo->sign(Role::kRoot, *keys_.offline[0]));
  ASSERT_TRUE(sign_both(*repo, Role::kTargets, keys_));
  const auto early = publish(*repo);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), Error::Code::kThresholdNotMet);
  EXPECT_EQ(repo->read("timestamp.json").error().code(), Error::Code::kNotFound);
  // The same key twice is still one signature.
  ASSERT_TRUE(repo->sign(Role::kRoot, *keys_.offline[0]));
  EXPECT_FALSE(publish(*repo));
  ASSERT_TRUE(repo->sign(Role::kRoot, *keys_.offline[2]));
  EXPECT_TRUE(publish(*repo));
}

TEST_F(TufRepositoryTest, StatusSaysWhoSignedAndWhoIsMissing) {
  const auto repo = make();
  ASSERT_TRUE(repo->sign(Role::kTargets, *keys_.offline[1]));
  const auto status = repo->status();
  ASSERT_TRUE(status) << status.error().to_string();
  const RoleStatus& targets = status->roles.at(1);
  EXPECT_EQ(targets.role, Role::kTargets);
  EXPECT_EQ(targets.published_version, 0);
  EXPECT_EQ(targets.staged_version, 1);
  EXPECT_EQ(targets.threshold, 2);
  EXPECT_EQ(targets.signatures, 1);
  EXPECT_FALSE(targets.ready);
  ASSERT_EQ(targets.keys.size(), 3U);
  EXPECT_TRUE(targets.keys[1].signed_by);
  EXPECT_EQ(targets.keys[1].algorithm, "ecdsa-p256");
  ASSERT_TRUE(repo->sign(Role::kTargets, *keys_.offline[0]));
  EXPECT_TRUE(repo->status()->roles.at(1).ready);
}

TEST_F(TufRepositoryTest, AChangeAfterSigningNeedsNewSignatures) {
  const auto repo = make();
  ASSERT_TRUE(sign_both(*repo, Role::kTargets, keys_));
  ASSERT_TRUE(repo->add_target_content(kPath, "manifest", custom(1), lifetimes_, kNow));
  EXPECT_EQ(repo->status()->roles.at(1).signatures, 0);
}

TEST_F(TufRepositoryTest, AStrangersKeyCannotSign) {
  const auto repo = make();
  EXPECT_EQ(repo->sign(Role::kTargets, *new_key()).error().code(), Error::Code::kPermissionDenied);
  EXPECT_EQ(repo->sign(Role::kTargets, *keys_.online).error().code(),
            Error::Code::kPermissionDenied);
  EXPECT_EQ(repo->sign(Role::kSnapshot, *keys_.online).error().code(),
            Error::Code::kInvalidArgument);
}

TEST_F(TufRepositoryTest, SignsOfflineOnOtherMachines) {
  const auto repo = make();
  ASSERT_TRUE(sign_both(*repo, Role::kRoot, keys_));
  const std::string carried = *repo->staged(Role::kTargets);
  const auto ann = sign_metadata(carried, *keys_.offline[0]);
  const auto bob = sign_metadata(carried, *keys_.offline[2]);
  ASSERT_TRUE(repo->submit(Role::kTargets, *ann));
  ASSERT_TRUE(repo->submit(Role::kTargets, *bob));
  EXPECT_EQ(repo->status()->roles.at(1).signatures, 2);
  EXPECT_TRUE(publish(*repo));
  EXPECT_EQ(repo->submit(Role::kTargets, *bob).error().code(), Error::Code::kRollback);
  EXPECT_FALSE(repo->submit(Role::kTargets, "{}"));
}

TEST_F(TufRepositoryTest, UpdatesAndRemovesTargets) {
  const auto repo = published();
  ASSERT_TRUE(refresh());
  const std::string second = "models/acme/log-triage/1.1.0";
  ASSERT_TRUE(repo->add_target_content(second, "manifest 2", custom(2), lifetimes_, kNow));
  ASSERT_TRUE(repo->remove_target(kPath, lifetimes_, kNow));
  EXPECT_EQ(repo->remove_target(kPath, lifetimes_, kNow).error().code(), Error::Code::kNotFound);
  ASSERT_TRUE(sign_both(*repo, Role::kTargets, keys_));
  ASSERT_TRUE(publish(*repo));
  const auto outcome = refresh();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->targets_version, 2);
  EXPECT_EQ(device_.find_target(kPath), nullptr);
  EXPECT_NE(device_.find_target(second), nullptr);
}

TEST_F(TufRepositoryTest, RotatesTheRootAndAllKeys) {
  const auto repo = published();
  ASSERT_TRUE(refresh());
  const Keys before = keys_;
  keys_ = Keys{};
  ASSERT_TRUE(repo->rotate_root(keys_.setup(), lifetimes_, kNow));
  ASSERT_TRUE(repo->renew(Role::kTargets, lifetimes_, kNow));
  ASSERT_TRUE(sign_both(*repo, Role::kRoot, keys_));
  ASSERT_TRUE(sign_both(*repo, Role::kTargets, keys_));
  // The old root has not approved its successor yet.
  EXPECT_EQ(publish(*repo).error().code(), Error::Code::kThresholdNotMet);
  ASSERT_TRUE(sign_both(*repo, Role::kRoot, before));
  const auto done = publish(*repo);
  ASSERT_TRUE(done) << done.error().to_string();
  const auto outcome = refresh();
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->root_version, 2);
  EXPECT_EQ(outcome->targets_version, 2);
}

TEST_F(TufRepositoryTest, RotatingTargetKeysAsksForNewTargetSignatures) {
  const auto repo = published();
  const Keys before = keys_;
  keys_ = Keys{};
  keys_.online = before.online;
  ASSERT_TRUE(repo->rotate_root(keys_.setup(), lifetimes_, kNow));
  ASSERT_TRUE(sign_both(*repo, Role::kRoot, keys_));
  ASSERT_TRUE(sign_both(*repo, Role::kRoot, before));
  EXPECT_EQ(publish(*repo).error().code(), Error::Code::kThresholdNotMet);
}

TEST_F(TufRepositoryTest, TheOnlineKeyKeepsTheFleetFresh) {
  const auto repo = published();
  const WallTime later = kNow + 24h * 20;
  EXPECT_EQ(refresh(later).error().code(), Error::Code::kMetadataExpired);
  ASSERT_TRUE(repo->refresh_online(*keys_.online, *keys_.online, lifetimes_, later));
  const auto outcome = refresh(later);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->timestamp_version, 2);
  // The snapshot would have ended too soon only when it does.
  EXPECT_EQ(outcome->snapshot_version, 1);
  const WallTime much_later = kNow + 24h * 29;
  ASSERT_TRUE(repo->refresh_online(*keys_.online, *keys_.online, lifetimes_, much_later));
  EXPECT_EQ(refresh(much_later)->snapshot_version, 2);
  EXPECT_EQ(repo->refresh_online(*new_key(), *keys_.online, lifetimes_, kNow).error().code(),
            Error::Code::kPermissionDenied);
}

TEST_F(TufRepositoryTest, RefusesImpossibleSetups) {
  const auto init = [&](auto change) {
    RootSetup setup = keys_.setup();
    change(setup);
    const auto repo = Repository::init(fs_, dir_ / "other", setup, lifetimes_, kNow);
    return repo ? Error::Code::kInternal : repo.error().code();
  };
  const auto invalid = Error::Code::kInvalidArgument;
  EXPECT_EQ(init([](RootSetup& s) { s.root.threshold = 4; }), invalid);
  EXPECT_EQ(init([](RootSetup& s) { s.root.threshold = 0; }), invalid);
  EXPECT_EQ(init([](RootSetup& s) { s.targets.keys.clear(); }), invalid);
  EXPECT_EQ(init([](RootSetup& s) { s.targets.keys[1] = s.targets.keys[0]; }), invalid);
  make();
  EXPECT_EQ(Repository::init(fs_, dir_ / "repo", keys_.setup(), lifetimes_, kNow).error().code(),
            Error::Code::kAlreadyExists);
  EXPECT_EQ(Repository::open(fs_, dir_ / "nowhere").error().code(), Error::Code::kNotFound);
}

TEST_F(TufRepositoryTest, ReadsOnlyMetadataFiles) {
  const auto repo = published();
  EXPECT_TRUE(repo->read("1.root.json"));
  EXPECT_TRUE(repo->read("timestamp.json"));
  for (const char* name : {"../staging/root.json", "", ".json", "/etc/passwd", "9.root.json"}) {
    EXPECT_EQ(repo->read(name).error().code(), Error::Code::kNotFound) << name;
  }
}

TEST_F(TufRepositoryTest, DescribesWhatIsToBeSigned) {
  const auto repo = make();
  ASSERT_TRUE(repo->add_target_content(kPath, "manifest", custom(5), lifetimes_, kNow));
  const auto text = describe_metadata(*repo->staged(Role::kTargets));
  ASSERT_TRUE(text);
  EXPECT_NE(text->find(kPath), std::string::npos);
  EXPECT_NE(text->find("release 5"), std::string::npos);
  EXPECT_NE(describe_metadata(*repo->staged(Role::kRoot))->find("targets: 2 of 3"),
            std::string::npos);
}

// A crash at any write of `publish` leaves a repository that publishes when asked again.
TEST(TufRepositoryFaults, PowerCutAtEveryWriteOfPublish) {
  const Keys keys;
  const RepositoryLifetimes lifetimes;
  for (std::uint64_t k = 0;; ++k) {
    test::TempDir dir;
    test::FaultFileSystem fs{dir.path()};
    auto repo = Repository::init(fs, dir / "repo", keys.setup(), lifetimes, kNow);
    ASSERT_TRUE(repo);
    ASSERT_TRUE((*repo)->add_target_content(kPath, "manifest", Json{}, lifetimes, kNow));
    ASSERT_TRUE(sign_both(**repo, Role::kRoot, keys));
    ASSERT_TRUE(sign_both(**repo, Role::kTargets, keys));
    fs.fail_at(k, test::Fault::kPowerCut);
    static_cast<void>((*repo)->publish(*keys.online, *keys.online, lifetimes, kNow).has_value());
    const bool fired = fs.fired();
    fs.restart(test::Loss::kUnsynced);
    auto again = Repository::open(fs, dir / "repo");
    ASSERT_TRUE(again) << k;
    const auto done = (*again)->publish(*keys.online, *keys.online, lifetimes, kNow);
    ASSERT_TRUE(done) << "operation " << k << ": " << done.error().to_string();
    test::MemoryMetadataStore store;
    DirectoryFetcher fetcher{fs, dir / "repo" / "metadata"};
    Client device{store, fetcher};
    ASSERT_TRUE(device.bootstrap(*(*again)->current_root()));
    const auto outcome = device.refresh(TrustedTime{kNow, TimeQuality::kSynchronised});
    ASSERT_TRUE(outcome) << "operation " << k << ": " << outcome.error().to_string();
    EXPECT_NE(device.find_target(kPath), nullptr);
    if (!fired) {
      EXPECT_GT(k, 10U);
      break;
    }
  }
}

}  // namespace
}  // namespace skerry::security::tuf
