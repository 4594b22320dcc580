#include <gmock/gmock.h>

#include "skerry/common/json.hpp"

#include "cli_fixture.hpp"

namespace skerry::cli::test {
namespace {

using ::testing::HasSubstr;

class ProgramTest : public CommandTest {};

TEST_F(ProgramTest, HelpNamesEveryCommand) {
  EXPECT_EQ(run({"--help"}), kExitDone);
  for (const char* command : {"status",
                              "slots",
                              "models",
                              "run",
                              "infer",
                              "rollback",
                              "gc",
                              "auth",
                              "policy",
                              "token",
                              "audit",
                              "model",
                              "keys",
                              "repo",
                              "fleet"}) {
    EXPECT_THAT(out(), HasSubstr(std::string{"\n  "} + command));
  }
}

TEST_F(ProgramTest, UnknownCommandIsAUsageError) {
  EXPECT_EQ(run({"statsu"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("skerry has no command 'statsu'; did you mean 'status'?"));
  EXPECT_EQ(run({"fleet", "rollout", "stat"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("skerry fleet rollout has no command 'stat'"));
}

TEST_F(ProgramTest, MissingArgumentIsAUsageErrorThatNamesIt) {
  EXPECT_EQ(run({"keys", "create"}), kExitUsage);
  EXPECT_THAT(err(), HasSubstr("uri"));
}

TEST_F(ProgramTest, AbsentDaemonHasAnExitCodeOfItsOwnAndSaysWhatToDo) {
  EXPECT_EQ(run({"status", "--admin-socket", path("none.sock")}), kExitUnreachable);
  EXPECT_THAT(err(), HasSubstr("is skerryd running?"));
}

TEST_F(ProgramTest, ControlCharactersOfOthersDoNotReachTheTerminal) {
  write("evil\x1b[2Jname", "x");
  EXPECT_EQ(run({"model", "check", path("evil\x1b[2Jname")}), kExitNo);
  EXPECT_EQ(out().find('\x1b'), std::string::npos);
  EXPECT_EQ(err().find('\x1b'), std::string::npos);
}

TEST_F(ProgramTest, PolicyTestExplainsADecisionWithoutADaemon) {
  write("policy.json", R"({"format": "skerry-policy/1", "version": 3,
    "roles": [{"name": "apps", "rules": [{"verbs": ["infer"], "models": ["acme/log-*"]}]}],
    "bindings": [{"name": "local", "role": "apps", "subjects": ["uid:1000"]}]})");
  EXPECT_EQ(run({"policy", "test", path("policy.json")}), kExitDone) << err();
  EXPECT_EQ(
      run({"policy", "test", path("policy.json"), "infer", "acme/log-triage", "--as", "uid:1000"}),
      kExitDone)
      << out() << err();
  EXPECT_EQ(
      run({"policy", "test", path("policy.json"), "infer", "acme/vibration", "--as", "uid:1000"}),
      kExitNo);
  EXPECT_THAT(out(), HasSubstr("no: "));
}

TEST_F(ProgramTest, PolicyTestRefusesASubjectItDoesNotKnow) {
  write("policy.json",
        R"({"format": "skerry-policy/1", "version": 1, "roles": [], "bindings": []})");
  EXPECT_EQ(run({"policy", "test", path("policy.json"), "infer", "a/b", "--as", "alice"}),
            kExitFailed);
  EXPECT_THAT(err(), HasSubstr("'alice' is no subject"));
}

TEST_F(ProgramTest, PolicyTestRunsATableAndFailsOnAMiss) {
  write("policy.json", R"({"format": "skerry-policy/1", "version": 3,
    "roles": [{"name": "apps", "rules": [{"verbs": ["infer"], "models": ["acme/log-*"]}]}],
    "bindings": [{"name": "local", "role": "apps", "subjects": ["uid:1000"]}]})");
  const std::string head = "format = \"skerry-policy-expectations/1\"\n";
  const std::string asks = "[[expect]]\nprincipal=\"uid:1000\"\nverb=\"infer\"\n";
  write("good.toml", head + asks + "resource=\"acme/log-triage\"\ndecision=\"allow\"\n");
  EXPECT_EQ(run({"policy", "test", path("policy.json"), "--expect", path("good.toml")}), kExitDone)
      << out() << err();
  EXPECT_THAT(out(), HasSubstr("1 of 1 expectations met"));
  write("bad.toml",
        head + asks + "resource=\"acme/log-triage\"\ndecision=\"allow\"\n" + asks +
            "resource=\"acme/vibration\"\ndecision=\"allow\"\nnote=\"hall 3\"\n");
  EXPECT_EQ(run({"policy", "test", path("policy.json"), "--expect", path("bad.toml")}), kExitNo);
  EXPECT_THAT(out(), HasSubstr("MISS " + path("bad.toml") + ":8: uid:1000 infer acme/vibration"));
  EXPECT_THAT(out(), HasSubstr("hall 3"));
  EXPECT_THAT(out(), HasSubstr("1 of 2 expectations met, 1 missed"));
  EXPECT_EQ(run({"--json", "policy", "test", path("policy.json"), "--expect", path("bad.toml")}),
            kExitNo);
  const auto report = Json::parse(out());
  ASSERT_TRUE(report) << out();
  EXPECT_EQ(report->get_int("missed").value_or(0), 1);
  EXPECT_EQ(report->get_int("policy_version").value_or(0), 3);
  write("broken.toml", head + "[[expect]]\nprincipal=\"uid:1000\"\n");
  EXPECT_EQ(run({"policy", "test", path("policy.json"), "--expect", path("broken.toml")}),
            kExitFailed);
  EXPECT_THAT(err(), HasSubstr("broken.toml:"));
}

TEST_F(ProgramTest, PolicyShowAndExplainReadAFile) {
  write("policy.json", R"({"format": "skerry-policy/1", "version": 3,
    "roles": [{"name": "apps", "rules": [{"verbs": ["infer"], "models": ["acme/log-*"]},
      {"id": "closed", "effect": "deny", "verbs": ["infer"], "models": ["acme/log-secret"]}]}],
    "bindings": [{"name": "local", "role": "apps", "subjects": ["uid:1000"]}]})");
  EXPECT_EQ(run({"policy", "show", path("policy.json")}), kExitDone) << err();
  EXPECT_THAT(out(), HasSubstr("policy version 3"));
  EXPECT_THAT(out(), HasSubstr("closed"));
  EXPECT_THAT(out(), HasSubstr("uid:1000"));
  EXPECT_EQ(run({"policy",
                 "explain",
                 "infer",
                 "acme/log-secret",
                 "--as",
                 "uid:1000",
                 "--policy",
                 path("policy.json")}),
            kExitNo)
      << err();
  EXPECT_THAT(out(), HasSubstr("applies: it decides"));
  EXPECT_THAT(out(), HasSubstr("denied by rule closed"));
}

}  // namespace
}  // namespace skerry::cli::test
