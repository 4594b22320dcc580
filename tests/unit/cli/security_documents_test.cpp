// Policy, revocations and permits by whole commands; a device follows the published folder and
// reads what it would keep.

#include <gmock/gmock.h>

#include "skerry/common/json.hpp"
#include "skerry/security/downgrade_permits.hpp"
#include "skerry/security/rbac.hpp"
#include "skerry/security/revocations.hpp"
#include "skerry/security/tuf/client.hpp"

#include "cli_fixture.hpp"

namespace skerry::cli::test {
namespace {

namespace tuf = security::tuf;
using ::testing::HasSubstr;

class SecurityDocumentsTest : public CommandTest {
 protected:
  void SetUp() override {
    for (const char* name : {"root", "online", "security"}) {
      ASSERT_EQ(run({"keys", "create", key(name)}), kExitDone) << err();
    }
    ASSERT_EQ(run({"repo",
                   "init",
                   folder(),
                   "--root-key",
                   key("root"),
                   "--targets-key",
                   key("root"),
                   "--online-key",
                   key("online")}),
              kExitDone)
        << err();
    ASSERT_EQ(run({"repo", "sign", folder(), "--key", key("root")}), kExitDone) << err();
    ASSERT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitDone)
        << err();
  }
  void delegate() {
    ASSERT_EQ(run({"repo",
                   "delegate",
                   folder(),
                   "security",
                   "--key",
                   key("security"),
                   "--path",
                   "security/*",
                   "--path",
                   "security/policy/*"}),
              kExitDone)
        << err();
    ASSERT_EQ(run({"repo", "sign", folder(), "--key", key("root")}), kExitDone) << err();
    ASSERT_EQ(run({"repo", "sign", folder(), "--key", key("security")}), kExitDone) << err();
    ASSERT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitDone)
        << err();
  }

  std::string key(const std::string& name) { return path("keys/" + name + ".pem"); }
  std::string folder() { return path("repo"); }
  // Signs with the role's key and publishes in the folder.
  int signed_run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--key", key("security"), "--online-key", key("online")});
    return run(arguments);
  }

  // What a device would read under that target path.
  std::string device_reads(const std::string& target) {
    auto root = read("repo/metadata/1.root.json");
    EXPECT_TRUE(device_.bootstrap(root));
    auto refreshed = device_.refresh({clock_.wall_now(), security::TimeQuality::kSynchronised});
    EXPECT_TRUE(refreshed) << refreshed.error().to_string();
    const auto found = device_.lookup(target);
    EXPECT_TRUE(found) << found.error().to_string();
    if (!found) {
      return "";
    }
    EXPECT_EQ(found->role.text(), "security");
    const std::string hex = found->file.sha256()->hex();
    std::string bytes = read("repo/blobs/sha256/" + hex.substr(0, 2) + "/" + hex);
    EXPECT_TRUE(found->file.check(bytes));
    return bytes;
  }
  static std::string policy(int version, const std::string& model) {
    return R"({"format": "skerry-policy/1", "version": )" + std::to_string(version) +
           R"(, "roles": [{"name": "app", "rules": [{"verbs": ["infer"], "models": [")" + model +
           R"("]}]}], "bindings": [{"name": "b", "role": "app", "subjects": ["uid:1000"]}]})";
  }

  tuf::DirectoryMetadataStore store_{fs_, dir_ / "device"};
  tuf::DirectoryFetcher fetcher_{fs_, dir_ / "repo" / "metadata"};
  tuf::Client device_{store_, fetcher_};
};

TEST_F(SecurityDocumentsTest, SayWhatToDoWithoutADelegation) {
  write("policy.json", policy(1, "acme/*"));
  EXPECT_EQ(run({"policy", "publish", folder(), path("policy.json")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("skerry repo delegate"));
}

TEST_F(SecurityDocumentsTest, APolicyIsStagedOnlyIfItSaysWhatItIsMeantTo) {
  delegate();
  write("table.toml",
        "format = \"skerry-policy-expectations/1\"\n[[expect]]\nprincipal = \"uid:1000\"\n"
        "verb = \"infer\"\nresource = \"acme/log\"\ndecision = \"allow\"\n");
  write("wrong.json", policy(1, "other/*"));
  write("right.json", policy(1, "acme/*"));
  EXPECT_EQ(
      signed_run(
          {"policy", "publish", folder(), path("wrong.json"), "--expect", path("table.toml")}),
      kExitNo);
  EXPECT_THAT(out(), HasSubstr("MISS"));
  ASSERT_EQ(
      signed_run(
          {"policy", "publish", folder(), path("right.json"), "--expect", path("table.toml")}),
      kExitDone)
      << err();
  EXPECT_EQ(device_reads("security/policy/default"), policy(1, "acme/*"));
  // The same version with other content, and an older one, never get as far as a signature.
  EXPECT_EQ(signed_run({"policy", "publish", folder(), path("wrong.json")}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("rollback"));
  write("next.json", policy(2, "acme/*"));
  ASSERT_EQ(signed_run({"policy", "publish", folder(), path("next.json")}), kExitDone) << err();
  EXPECT_EQ(signed_run({"policy", "publish", folder(), path("right.json")}), kExitFailed);
  EXPECT_EQ(device_reads("security/policy/default"), policy(2, "acme/*"));
  ASSERT_EQ(signed_run({"policy", "publish", folder(), path("right.json"), "--name", "lab"}),
            kExitDone)
      << "each name counts for itself: " << err();
}

TEST_F(SecurityDocumentsTest, RevocationsAreAddedReplacedAndTakenBack) {
  delegate();
  const std::vector<std::string> revoke{"repo",
                                        "revoke-model",
                                        folder(),
                                        "--id",
                                        "cve-1",
                                        "--reason",
                                        "poisoned",
                                        "--effect",
                                        "stop",
                                        "--model",
                                        "acme/log-*",
                                        "--version",
                                        "1.2.*"};
  ASSERT_EQ(signed_run(revoke), kExitDone) << err();
  auto document = security::Revocations::parse(device_reads("security/revocations"));
  ASSERT_TRUE(document) << document.error().to_string();
  EXPECT_EQ(document->version(), 1);
  ASSERT_EQ(document->entries().size(), 1U);
  EXPECT_EQ(document->entries()[0].effect, security::RevocationEffect::kStop);
  ASSERT_EQ(signed_run({"repo",
                        "revoke-model",
                        folder(),
                        "--id",
                        "old",
                        "--reason",
                        "answers changed",
                        "--model",
                        "acme/log-triage",
                        "--below-counter",
                        "7"}),
            kExitDone)
      << err();
  ASSERT_EQ(run({"repo", "revocations", folder()}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("acme/log-triage below counter 7"));
  ASSERT_EQ(signed_run({"repo", "restore-model", folder(), "--id", "cve-1"}), kExitDone) << err();
  document = security::Revocations::parse(device_reads("security/revocations"));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->version(), 3);
  ASSERT_EQ(document->entries().size(), 1U);
  EXPECT_EQ(document->entries()[0].id, "old");
  EXPECT_EQ(signed_run({"repo", "restore-model", folder(), "--id", "cve-1"}), kExitFailed);
  EXPECT_THAT(err(), HasSubstr("not_found"));
}

TEST_F(SecurityDocumentsTest, ARevocationMustNameOneThing) {
  delegate();
  EXPECT_EQ(signed_run({"repo", "revoke-model", folder(), "--id", "x", "--reason", "because"}),
            kExitFailed);
  EXPECT_THAT(err(), HasSubstr("exactly one of manifest, blob, model"));
  EXPECT_EQ(signed_run({"repo",
                        "revoke-model",
                        folder(),
                        "--id",
                        "x",
                        "--reason",
                        "because",
                        "--manifest",
                        "sha256:12"}),
            kExitFailed);
  EXPECT_THAT(err(), HasSubstr("--manifest"));
}

TEST_F(SecurityDocumentsTest, APermitIsMadeWithANonceAndTakenBack) {
  delegate();
  const std::vector<std::string> permit{"repo",
                                        "permit-downgrade",
                                        folder(),
                                        "--model",
                                        "acme/log-triage",
                                        "--device",
                                        "gw-*",
                                        "--from",
                                        "9",
                                        "--to",
                                        "7",
                                        "--reason",
                                        "slow on ARM"};
  ASSERT_EQ(signed_run(permit), kExitDone) << err();
  auto document = security::DowngradePermits::parse(device_reads("security/permits"));
  ASSERT_TRUE(document) << document.error().to_string();
  ASSERT_EQ(document->permits().size(), 1U);
  const auto first = document->permits()[0];
  EXPECT_EQ(first.nonce.size(), 32U);
  EXPECT_EQ(first.expires, clock_.wall_now() + std::chrono::hours{7 * 24});
  clock_.advance(std::chrono::hours{8 * 24});
  ASSERT_EQ(run({"repo", "publish", folder(), "--online-key", key("online")}), kExitDone) << err();
  ASSERT_EQ(signed_run(permit), kExitDone) << err();
  document = security::DowngradePermits::parse(device_reads("security/permits"));
  ASSERT_TRUE(document);
  ASSERT_EQ(document->permits().size(), 1U) << "the one that ended is dropped";
  EXPECT_NE(document->permits()[0].nonce, first.nonce);
  ASSERT_EQ(signed_run({"repo", "withdraw-permit", folder(), "--id", document->permits()[0].nonce}),
            kExitDone)
      << err();
  document = security::DowngradePermits::parse(device_reads("security/permits"));
  ASSERT_TRUE(document);
  EXPECT_TRUE(document->permits().empty());
}

}  // namespace
}  // namespace skerry::cli::test
