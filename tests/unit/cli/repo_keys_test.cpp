// Who signs for what, by whole commands: delegations, rotation, revocation, offline signing. After
// each act a device follows the published folder, as the proof that the metadata is good.

#include <gmock/gmock.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "cli_fixture.hpp"
#include "registry_fixtures.hpp"

namespace skerry::cli::test {
namespace {

namespace tuf = security::tuf;
using ::testing::HasSubstr;
using ::testing::Not;

class RepoKeysTest : public CommandTest {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c", "d", "team", "team2", "online", "online2"}) {
      ASSERT_EQ(run({"keys", "create", key(name)}), kExitDone) << err();
    }
    ASSERT_EQ(run({"repo",
                   "init",
                   folder(),
                   "--root-key",
                   key("a"),
                   "--root-key",
                   key("b"),
                   "--root-key",
                   key("c"),
                   "--targets-key",
                   key("a"),
                   "--targets-key",
                   key("b"),
                   "--targets-key",
                   key("c"),
                   "--online-key",
                   key("online")}),
              kExitDone)
        << err();
    sign({"a", "b"});
    publish();
    follow();
  }

  std::string key(const std::string& name) { return path("keys/" + name + ".pem"); }
  std::string folder() { return path("repo"); }

  std::string key_id(const std::string& name) {
    EXPECT_EQ(run({"keys", "export", key(name), "--format", "id"}), kExitDone) << err();
    return out().substr(0, 64);
  }

  void sign(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      ASSERT_EQ(run({"repo", "sign", folder(), "--key", key(name)}), kExitDone) << err();
    }
  }

  void publish(const std::string& online = "online") {
    ASSERT_EQ(run({"repo", "publish", folder(), "--online-key", key(online)}), kExitDone) << err();
  }

  // What a device that was provisioned with the first root makes of the folder.
  Result<tuf::RefreshOutcome> refresh() {
    auto root = read("repo/metadata/1.root.json");
    if (auto trusted = device_.bootstrap(root); !trusted) {
      return trusted.error();
    }
    return device_.refresh({clock_.wall_now(), security::TimeQuality::kSynchronised});
  }
  void follow() {
    const auto outcome = refresh();
    ASSERT_TRUE(outcome) << outcome.error().to_string();
  }

  // Stages a delegation of acme's models to that key.
  int delegate(const std::string& key_name = "team") {
    return run({"repo",
                "delegate",
                folder(),
                "acme",
                "--key",
                key(key_name),
                "--path",
                "models/acme/*/*"});
  }

  void delegate_to_acme() {
    ASSERT_EQ(delegate(), kExitDone) << err();
    EXPECT_THAT(out(), HasSubstr("targets, acme"));
    sign({"a", "b", "team"});
    publish();
  }

  void list(const std::string& target, const std::string& content, const std::string& role) {
    const auto repository = tuf::Repository::open(fs_, folder());
    ASSERT_TRUE(repository);
    tuf::TargetFile file;
    file.length = content.size();
    file.hashes["sha256"] = Digest::of(content).hex();
    const auto added =
        (*repository)->add_target(target, file, {}, clock_.wall_now(), tuf::RoleName{role});
    ASSERT_TRUE(added) << added.error().to_string();
  }

  tuf::DirectoryMetadataStore store_{fs_, dir_ / "device"};
  tuf::DirectoryFetcher fetcher_{fs_, dir_ / "repo" / "metadata"};
  tuf::Client device_{store_, fetcher_};
};

TEST_F(RepoKeysTest, ATeamSignsItsOwnModelsWithoutTheOfflineKeys) {
  delegate_to_acme();
  list("models/acme/x/1.0.0", "manifest", "acme");
  sign({"team"});
  publish();
  follow();
  const auto found = device_.lookup("models/acme/x/1.0.0");
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->role.text(), "acme");
  EXPECT_EQ(found->role_version, 2);
}

TEST_F(RepoKeysTest, ADelegationThatIsOnlyStagedDoesNotStopTheDailyTimestamp) {
  ASSERT_EQ(delegate(), kExitDone) << err();
  const auto repository = tuf::Repository::open(fs_, folder());
  const auto online = load_signer(fs_, key("online"));
  ASSERT_TRUE(repository && online);
  const auto refreshed = (*repository)->refresh_online(**online, **online, {}, clock_.wall_now());
  ASSERT_TRUE(refreshed) << refreshed.error().to_string();
  follow();
}

TEST_F(RepoKeysTest, ATeamIsHeldToItsPaths) {
  delegate_to_acme();
  const auto repository = tuf::Repository::open(fs_, folder());
  ASSERT_TRUE(repository);
  const auto added = (*repository)
                         ->add_target("models/globex/x/1.0.0",
                                      tuf::TargetFile{},
                                      {},
                                      clock_.wall_now(),
                                      tuf::RoleName{std::string{"acme"}});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), Error::Code::kPermissionDenied);
}

TEST_F(RepoKeysTest, ATeamsKeysAreRotatedAndItsListSignedAgain) {
  delegate_to_acme();
  list("models/acme/x/1.0.0", "manifest", "acme");
  sign({"team"});
  publish();
  ASSERT_EQ(run({"repo",
                 "rotate",
                 folder(),
                 "--role",
                 "acme",
                 "--add-key",
                 key("team2"),
                 "--remove-key",
                 key("team")}),
            kExitDone)
      << err();
  EXPECT_THAT(out(), HasSubstr("targets, acme"));
  sign({"a", "c"});
  EXPECT_EQ(run({"repo", "sign", folder(), "--key", key("team")}), kExitFailed);
  EXPECT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("acme"));
  sign({"team2"});
  publish();
  follow();
  EXPECT_TRUE(device_.lookup("models/acme/x/1.0.0"));
}

TEST_F(RepoKeysTest, ARevokedTeamIsFoundNoMore) {
  delegate_to_acme();
  list("models/acme/x/1.0.0", "manifest", "acme");
  sign({"team"});
  publish();
  follow();
  ASSERT_TRUE(device_.lookup("models/acme/x/1.0.0"));
  ASSERT_EQ(run({"repo", "revoke", folder(), "--role", "acme"}), kExitDone) << err();
  sign({"a", "b"});
  publish();
  // The snapshot lists it still (TUF 5.5.5), so that a device goes on without a complaint.
  follow();
  const auto found = device_.lookup("models/acme/x/1.0.0");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Error::Code::kNotFound);
  EXPECT_EQ(run({"repo", "revoke", folder(), "--role", "acme"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("not_found"));
  // Trusted again, with another key, it goes on from its last version.
  ASSERT_EQ(delegate("team2"), kExitDone) << err();
  sign({"a", "b", "team2"});
  publish();
  follow();
}

TEST_F(RepoKeysTest, ARootKeyIsReplacedByOldAndNewKeys) {
  ASSERT_EQ(run({"repo",
                 "rotate",
                 folder(),
                 "--role",
                 "root",
                 "--add-key",
                 key("d"),
                 "--remove-key",
                 key("a")}),
            kExitDone)
      << err();
  // Two of the new three, but only one of the old three.
  sign({"d", "b"});
  EXPECT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("threshold_not_met"));
  sign({"c"});
  publish();
  follow();
  EXPECT_TRUE(fs_.exists(path("device/root-chain/2.root")));
}

TEST_F(RepoKeysTest, AStolenKeyIsRevokedEverywhereByItsId) {
  const std::string id = key_id("c");
  ASSERT_EQ(run({"repo", "revoke", folder(), "--key", id}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("no longer counts for root"));
  EXPECT_THAT(out(), HasSubstr("no longer counts for targets"));
  sign({"a", "b"});
  publish();
  follow();
  EXPECT_THAT(read("repo/metadata/2.root.json"), Not(HasSubstr(id)));
  // Now each role needs both of its keys.
  EXPECT_EQ(run({"repo", "revoke", folder(), "--key", key("a")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("needs all of its 2 keys"));
}

TEST_F(RepoKeysTest, ReplacingTargetsKeysHasTheListSignedAgain) {
  ASSERT_EQ(run({"repo",
                 "rotate",
                 folder(),
                 "--role",
                 "targets",
                 "--add-key",
                 key("d"),
                 "--remove-key",
                 key("a")}),
            kExitDone)
      << err();
  EXPECT_THAT(out(), HasSubstr("root, targets"));
  sign({"a", "b", "d"});
  publish();
  follow();
}

TEST_F(RepoKeysTest, TheOnlineKeyIsReplacedAndAFastForwardHealed) {
  ASSERT_EQ(run({"repo",
                 "rotate",
                 folder(),
                 "--role",
                 "online",
                 "--add-key",
                 key("online2"),
                 "--remove-key",
                 key("online")}),
            kExitDone)
      << err();
  sign({"a", "b"});
  EXPECT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("permission_denied"));
  publish("online2");
  follow();
}

TEST_F(RepoKeysTest, AThresholdThatTheKeysCannotMeetIsRefusedAndNothingStaged) {
  EXPECT_EQ(run({"repo", "rotate", folder(), "--role", "root", "--threshold", "4"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("3 keys and a threshold of 4"));
  EXPECT_EQ(run({"repo", "rotate", folder(), "--role", "nobody", "--threshold", "1"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("not_found"));
  ASSERT_EQ(run({"repo", "status", folder()}), kExitDone);
  EXPECT_THAT(out(), Not(HasSubstr("waits for publication")));
}

TEST_F(RepoKeysTest, FilesTravelToOfflineMachinesAndBack) {
  ASSERT_EQ(run({"repo", "rotate", folder(), "--role", "targets"}), kExitDone) << err();
  for (const char* name : {"a", "b"}) {
    const std::string file = path(std::string{"stick-"} + name + ".json");
    ASSERT_EQ(run({"repo", "export", folder(), "--role", "targets", "--out", file}), kExitDone)
        << err();
    ASSERT_EQ(run({"repo", "sign", file, "--key", key(name)}), kExitDone) << err();
  }
  const std::string ann = key_id("a").substr(0, 16);
  ASSERT_EQ(run({"repo", "import", folder(), path("stick-a.json")}), kExitDone) << err();
  ASSERT_EQ(run({"repo", "status", folder()}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("1 of 2 signatures; signed by " + ann));
  ASSERT_EQ(run({"repo", "import", folder(), path("stick-b.json")}), kExitDone) << err();
  publish();
  follow();
}

TEST_F(RepoKeysTest, AFileThatIsNotStagedOrNotSignedByItsKeysIsNotTaken) {
  ASSERT_EQ(run({"repo", "rotate", folder(), "--role", "targets"}), kExitDone) << err();
  const std::string file = path("stick.json");
  ASSERT_EQ(run({"repo", "export", folder(), "--role", "targets", "--out", file}), kExitDone);
  ASSERT_EQ(run({"repo", "sign", file, "--key", key("team")}), kExitDone) << err();
  EXPECT_EQ(run({"repo", "import", folder(), file}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("signature_invalid"));
  ASSERT_EQ(run({"repo", "sign", file, "--key", key("a")}), kExitDone) << err();
  clock_.advance(std::chrono::hours{1});
  ASSERT_EQ(run({"repo", "rotate", folder(), "--role", "targets"}), kExitDone) << err();
  EXPECT_EQ(run({"repo", "import", folder(), file}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("not what is staged"));
}

TEST_F(RepoKeysTest, StatusWarnsBeforeARoleEnds) {
  ASSERT_EQ(run({"repo", "status", folder(), "--check"}), kExitDone) << out();
  clock_.advance(std::chrono::hours{24 * 6});
  EXPECT_EQ(run({"repo", "status", folder(), "--check"}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("warning: timestamp ends in 1 days"));
  clock_.advance(std::chrono::hours{24 * 340});
  EXPECT_EQ(run({"repo", "status", folder(), "--check"}), kExitFailed);
  EXPECT_THAT(out(), HasSubstr("warning: root ends in 19 days"));
  EXPECT_THAT(out(), HasSubstr("timestamp ended on"));
  // Renewed in time, it is well for another year.
  for (const char* role : {"root", "targets"}) {
    ASSERT_EQ(run({"repo", "rotate", folder(), "--role", role}), kExitDone) << err();
  }
  sign({"a", "b"});
  publish();
  EXPECT_EQ(run({"repo", "status", folder(), "--check"}), kExitDone) << out();
  follow();
}

TEST_F(RepoKeysTest, SignersSeeWhatTheyGiveAway) {
  ASSERT_EQ(delegate(), kExitDone) << err();
  ASSERT_EQ(run({"repo", "show", path("repo/staging/targets.json")}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("delegates to acme: 1 of 1 keys, terminating"));
  EXPECT_THAT(out(), HasSubstr("models/acme/*/*"));
}

TEST_F(RepoKeysTest, AModelsEndIsSignedAndShownToWhoSigns) {
  const auto weights = ::skerry::test::make_file(registry::FileRole::kWeights, "w.gguf", 100, 1);
  const auto manifest = ::skerry::test::make_manifest(
      "1.0.0", 1, {::skerry::test::make_variant("q4_k_m", {weights})});
  const std::string file = path("manifest.json");
  ASSERT_TRUE(write_file_atomic(fs_, file, *manifest.serialise()));
  EXPECT_NE(run({"repo", "add", folder(), file, "--not-after", "next week"}), kExitDone);
  EXPECT_THAT(err(), HasSubstr("2027-06-30"));
  ASSERT_EQ(run({"repo", "add", folder(), file, "--not-after", "2031-06-30"}), kExitDone) << err();
  ASSERT_EQ(run({"repo", "show", path("repo/staging/targets.json")}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("not after 2031-06-30T00:00:00Z"));
  sign({"a", "b"});
  publish();
  follow();
  const auto found = device_.lookup(manifest.target_path());
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->file.not_after(), *parse_rfc3339("2031-06-30T00:00:00Z"));
  EXPECT_EQ(found->file.release_counter(), 1U);
}

}  // namespace
}  // namespace skerry::cli::test
