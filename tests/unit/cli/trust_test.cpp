// The life of the signed list, by whole commands: keys, repository, signatures, publication, and
// the working copy that follows a controller.

#include <gmock/gmock.h>

#include "skerry/cli/trust_copy.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "cli_fixture.hpp"

namespace skerry::cli::test {
namespace {

using ::testing::HasSubstr;

class TrustTest : public CommandTest {
 protected:
  void SetUp() override {
    for (const char* key : {"a", "b", "c", "online"}) {
      ASSERT_EQ(run({"keys", "create", path(std::string{"keys/"} + key + ".pem")}), kExitDone)
          << err();
    }
  }
  std::string key(const std::string& name) { return path("keys/" + name + ".pem"); }
  int init(const std::string& folder) {
    return run({"repo",
                "init",
                path(folder),
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
                "--targets-threshold",
                "2",
                "--online-key",
                key("online")});
  }
  int sign(const std::string& folder, const std::string& name) {
    return run({"repo", "sign", path(folder), "--key", key(name)});
  }
  // What a controller would serve for the folder.
  NamedFiles served(const std::string& folder) {
    NamedFiles files;
    const auto names = fs_.list(path(folder + "/metadata"));
    EXPECT_TRUE(names);
    for (const std::string& name : *names) {
      files.emplace_back(name, read(folder + "/metadata/" + name));
    }
    return files;
  }
  // Copies the folder's staged files: the operator's and the controller's copies start alike.
  void copy(const std::string& from, const std::string& to) {
    std::filesystem::copy(path(from), path(to), std::filesystem::copy_options::recursive);
  }
};

TEST_F(TrustTest, KeysAreNeverOverwrittenAndClosedToOthers) {
  EXPECT_EQ(run({"keys", "create", key("a")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("already_exists"));
  const auto status = fs_.status(key("a"));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->mode & 0777U, 0600U);
}

TEST_F(TrustTest, KeyListAndExportAgree) {
  ASSERT_EQ(run({"keys", "export", key("a"), "--format", "id"}), kExitDone);
  const std::string id = out().substr(0, 64);
  ASSERT_EQ(run({"keys", "list", path("keys")}), kExitDone);
  EXPECT_THAT(out(), HasSubstr(id));
}

TEST_F(TrustTest, PublicationWaitsForTheThreshold) {
  ASSERT_EQ(init("repo"), kExitDone) << err();
  ASSERT_EQ(sign("repo", "a"), kExitDone) << err();
  EXPECT_EQ(run({"repo", "publish", path("repo"), "--online-key", key("online")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("threshold_not_met"));
  ASSERT_EQ(sign("repo", "b"), kExitDone) << err();
  EXPECT_EQ(run({"repo", "publish", path("repo"), "--online-key", key("online")}), kExitDone)
      << err();
  ASSERT_EQ(run({"repo", "status", path("repo"), "--json"}), kExitDone);
  EXPECT_THAT(out(), HasSubstr("\"published_version\": 1"));
}

TEST_F(TrustTest, AKeyThatMaySignNothingIsRefused) {
  ASSERT_EQ(init("repo"), kExitDone);
  EXPECT_EQ(sign("repo", "online"), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("permission_denied"));
}

TEST_F(TrustTest, ReadyToPublishNamesTheRoleThatLacksSignatures) {
  ASSERT_EQ(init("repo"), kExitDone);
  ASSERT_EQ(sign("repo", "a"), kExitDone);
  const auto repository = security::tuf::Repository::open(fs_, path("repo"));
  ASSERT_TRUE(repository);
  const auto files = ready_to_publish(**repository);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Error::Code::kThresholdNotMet);
  EXPECT_THAT(files.error().message(), HasSubstr("root"));
}

TEST_F(TrustTest, WorkingCopyFollowsWhatWasPublishedAndForgetsTheStagedFiles) {
  ASSERT_EQ(init("mine"), kExitDone);
  ASSERT_EQ(sign("mine", "a"), kExitDone);
  ASSERT_EQ(sign("mine", "b"), kExitDone);
  copy("mine", "controller");
  ASSERT_EQ(run({"repo", "publish", path("controller"), "--online-key", key("online")}), kExitDone)
      << err();
  const auto adopted = adopt_published(fs_, path("mine"), served("controller"), clock_.wall_now());
  ASSERT_TRUE(adopted) << adopted.error().to_string();
  const auto repository = security::tuf::Repository::open(fs_, path("mine"));
  ASSERT_TRUE(repository);
  const auto files = ready_to_publish(**repository);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code(), Error::Code::kFailedPrecondition);
  const auto published = (*repository)->published_targets();
  ASSERT_TRUE(published) << published.error().to_string();
  EXPECT_EQ(published->version, 1);
}

TEST_F(TrustTest, WorkingCopyRefusesTheListOfAnotherRoot) {
  ASSERT_EQ(init("mine"), kExitDone);
  ASSERT_EQ(sign("mine", "a"), kExitDone);
  ASSERT_EQ(sign("mine", "b"), kExitDone);
  // A stolen controller with keys of its own.
  ASSERT_EQ(run({"repo",
                 "init",
                 path("foreign"),
                 "--root-key",
                 key("c"),
                 "--targets-key",
                 key("c"),
                 "--online-key",
                 key("online")}),
            kExitDone);
  ASSERT_EQ(sign("foreign", "c"), kExitDone);
  ASSERT_EQ(run({"repo", "publish", path("foreign"), "--online-key", key("online")}), kExitDone);
  const auto adopted = adopt_published(fs_, path("mine"), served("foreign"), clock_.wall_now());
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code(), Error::Code::kThresholdNotMet);
  EXPECT_FALSE(fs_.exists(path("mine/metadata/timestamp.json")));
}

TEST_F(TrustTest, WorkingCopyRefusesAnOlderListThanItHasSeen) {
  ASSERT_EQ(init("mine"), kExitDone);
  ASSERT_EQ(sign("mine", "a"), kExitDone);
  ASSERT_EQ(sign("mine", "b"), kExitDone);
  copy("mine", "controller");
  ASSERT_EQ(run({"repo", "publish", path("controller"), "--online-key", key("online")}), kExitDone);
  const NamedFiles old = served("controller");
  // A second publication that the working copy has followed.
  const auto repository = security::tuf::Repository::open(fs_, path("controller"));
  ASSERT_TRUE(repository);
  ASSERT_TRUE((*repository)
                  ->add_target_content(
                      "models/acme/x/1.0.0", "{}", Json{Json::Object{}}, {}, clock_.wall_now()));
  ASSERT_EQ(sign("controller", "a"), kExitDone) << err();
  ASSERT_EQ(sign("controller", "b"), kExitDone) << err();
  ASSERT_EQ(run({"repo", "publish", path("controller"), "--online-key", key("online")}), kExitDone)
      << err();
  ASSERT_TRUE(adopt_published(fs_, path("mine"), served("controller"), clock_.wall_now()));
  const auto again = adopt_published(fs_, path("mine"), old, clock_.wall_now());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kRollback);
}

// The office delegates models/acme to key c, whose holder works in a copy of their own.
TEST_F(TrustTest, ATeamSignsInItsOwnWorkingCopy) {
  ASSERT_EQ(init("office"), kExitDone);
  ASSERT_EQ(run({"repo",
                 "delegate",
                 path("office"),
                 "acme",
                 "--key",
                 key("c"),
                 "--path",
                 "models/acme/*/*"}),
            kExitDone)
      << err();
  ASSERT_EQ(sign("office", "a"), kExitDone);
  ASSERT_EQ(sign("office", "b"), kExitDone);
  ASSERT_EQ(sign("office", "c"), kExitDone) << err();
  ASSERT_EQ(run({"repo", "publish", path("office"), "--online-key", key("online")}), kExitDone)
      << err();

  ASSERT_EQ(run({"repo", "root", path("office"), "--out", path("root.json")}), kExitDone);
  ASSERT_EQ(run({"repo", "join", path("team"), "--root", path("root.json")}), kExitDone) << err();
  EXPECT_EQ(run({"repo", "join", path("team"), "--root", path("root.json")}), kExitFailed);
  ASSERT_TRUE(adopt_published(fs_, path("team"), served("office"), clock_.wall_now()));
  const auto team = security::tuf::Repository::open(fs_, path("team"));
  ASSERT_TRUE(team);
  security::tuf::TargetFile file;
  file.length = 2;
  file.hashes["sha256"] = Digest::of("{}").hex();
  const security::tuf::RoleName acme{"acme"};
  EXPECT_EQ(
      (*team)->add_target("models/beta/x/1.0.0", file, {}, clock_.wall_now(), acme).error().code(),
      Error::Code::kPermissionDenied);
  ASSERT_TRUE((*team)->add_target("models/acme/x/1.0.0", file, {}, clock_.wall_now(), acme));
  ASSERT_EQ(sign("team", "c"), kExitDone) << err();
  const auto files = ready_to_publish(**team);
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->size(), 1U);
  EXPECT_EQ(files->front().first, "2.acme.json");

  // What the office publishes of it comes back, and is forgotten as staged.
  const auto office = security::tuf::Repository::open(fs_, path("office"));
  ASSERT_TRUE((*office)->submit(acme, files->front().second));
  ASSERT_EQ(run({"repo", "publish", path("office"), "--online-key", key("online")}), kExitDone)
      << err();
  const auto adopted = adopt_published(fs_, path("team"), served("office"), clock_.wall_now());
  ASSERT_TRUE(adopted) << adopted.error().to_string();
  EXPECT_EQ(ready_to_publish(**team).error().code(), Error::Code::kFailedPrecondition);
  EXPECT_TRUE(fs_.exists(path("team/metadata/2.acme.json")));
}

TEST_F(TrustTest, ADamagedMetadataFileIsNotSigned) {
  write("targets.json", "{\"signed\": {");
  EXPECT_EQ(run({"repo", "sign", path("targets.json"), "--key", key("a")}), kExitFailed);
  EXPECT_EQ(read("targets.json"), "{\"signed\": {");
}

}  // namespace
}  // namespace skerry::cli::test
