// A table says what a policy is meant to say; a row that is wrong is named by its line, a row that
// is missed by what decided.

#include "skerry/security/policy_expectations.hpp"

#include <gmock/gmock.h>

namespace skerry::security {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kPolicyText = R"({"format": "skerry-policy/1", "version": 7,
  "roles": [
    {"name": "app", "rules": [
      {"verbs": ["infer", "list"], "models": ["acme/*"]},
      {"id": "no-secret", "effect": "deny", "verbs": ["*"], "models": ["acme/secret-*"]},
      {"id": "no-f16", "effect": "deny", "verbs": ["infer"], "variants": ["f16"]}]},
    {"name": "ops", "rules": [{"id": "all-admin", "verbs": ["admin.*"]}]}],
  "bindings": [
    {"name": "local-apps", "role": "app", "subjects": ["gid:990", "token:ci"]},
    {"name": "operators", "role": "ops", "subjects": ["group:ops"]}]})";

std::string rows(const std::string& text) {
  return "format = \"skerry-policy-expectations/1\"\n" + text;
}

std::string row(const std::string& body) {
  return rows("[[expect]]\n" + body);
}

class PolicyExpectations : public ::testing::Test {
 protected:
  ExpectationResult one(const std::string& body) {
    auto table = parse_expectations(row(body), "t.toml");
    EXPECT_TRUE(table) << table.error().to_string();
    if (!table) {
      return {};
    }
    return check_expectations(policy_, *table).front();
  }
  Policy policy_ = Policy::parse(kPolicyText).value_or(Policy{});
};

TEST_F(PolicyExpectations, AnswersAreThoseOfThePolicyAndNameTheRule) {
  struct Case {
    std::string body;
    bool met;
    std::string rule;
  };
  const std::string app = "principal = \"uid:1000\"\ngroups = [\"gid:990\"]\n";
  for (const Case& test : std::vector<Case>{
           {app + "verb=\"infer\"\nresource=\"acme/log\"\ndecision=\"allow\"",
            true,
            "app/rules[0]"},
           {app + "verb=\"infer\"\nresource=\"acme/log\"\ndecision=\"deny\"",
            false,
            "app/rules[0]"},
           {app +
                "verb=\"infer\"\nresource=\"acme/secret-x\"\ndecision=\"deny\"\nrule=\"no-secret\"",
            true,
            "no-secret"},
           {app + "verb=\"infer\"\nresource=\"acme/log@f16\"\ndecision=\"deny\"\nrule=\"no-f16\"",
            true,
            "no-f16"},
           {app + "verb=\"infer\"\nresource=\"acme/log@q8_0\"\ndecision=\"allow\"",
            true,
            "app/rules[0]"},
           {app + "verb=\"load\"\nresource=\"acme/log\"\ndecision=\"deny\"\nrule=\"none\"",
            true,
            ""},
           // Right answer, wrong reason.
           {app + "verb=\"infer\"\nresource=\"acme/secret-x\"\ndecision=\"deny\"\nrule=\"none\"",
            false,
            "no-secret"},
           {"principal=\"uid:1000\"\nverb=\"infer\"\nresource=\"acme/log\"\ndecision=\"deny\"",
            true,
            ""},
           {"principal=\"uid:7\"\ngroups=[\"group:ops\"]\nverb=\"admin.status\"\n"
            "decision=\"allow\"\nrule=\"all-admin\"",
            true,
            "all-admin"},
           {"principal=\"token:ci\"\nverb=\"list\"\nresource=\"acme/log\"\ndecision=\"allow\"",
            true,
            "app/rules[0]"},
           {"principal=\"anonymous\"\nverb=\"list\"\nresource=\"acme/log\"\ndecision=\"deny\"",
            true,
            ""}}) {
    const ExpectationResult result = one(test.body);
    EXPECT_EQ(result.met, test.met) << test.body << "\n" << result.miss;
    EXPECT_EQ(result.decision.rule, test.rule) << test.body;
    EXPECT_EQ(result.miss.empty(), test.met) << test.body;
  }
}

TEST_F(PolicyExpectations, AMissSaysWhatDecided) {
  const ExpectationResult result =
      one("principal=\"token:ci\"\nverb=\"infer\"\nresource=\"acme/secret-x\"\ndecision=\"allow\"");
  EXPECT_EQ(result.expected.where, "t.toml:3");
  EXPECT_EQ(result.expected.question(), "token:ci infer acme/secret-x");
  EXPECT_THAT(result.miss, HasSubstr("expected allow, the policy says deny"));
  EXPECT_THAT(result.miss, HasSubstr("no-secret"));
  EXPECT_THAT(result.miss, HasSubstr("local-apps"));
  const Json report = to_json({result});
  EXPECT_EQ(report.get_int("rows").value_or(0), 1);
  EXPECT_EQ(report.get_int("missed").value_or(0), 1);
  EXPECT_EQ((*report.find("results")->array())[0].get_string("miss").value_or(""), result.miss);
}

TEST_F(PolicyExpectations, BadTablesAreRefusedByLine) {
  struct Bad {
    std::string text;
    std::string names;
  };
  const std::string good = "principal=\"uid:1\"\nverb=\"infer\"\ndecision=\"deny\"\n";
  std::string groups = "groups=[";
  for (std::size_t i = 0; i <= ExpectationLimits::kGroups; ++i) {
    groups += "\"gid:1\",";
  }
  for (const Bad& bad : std::vector<Bad>{
           {"", "format"},
           {"format=\"skerry-policy-expectations/2\"\n[[expect]]\n" + good, "format"},
           {rows(""), "[[expect]]"},
           {rows("expect = [1]"), "t.toml:2"},
           {rows("[[expect"), "t.toml:2"},
           {row("verb=\"infer\"\ndecision=\"deny\""), "principal"},
           {row("principal=\"alice\"\nverb=\"infer\"\ndecision=\"deny\""), "'alice' is no subject"},
           {row("principal=\"uid:4294967296\"\nverb=\"infer\"\ndecision=\"deny\""), "t.toml:3"},
           {row("principal=\"uid:1\"\nverb=\"inferr\"\ndecision=\"deny\""), "did you mean 'infer'"},
           {row("principal=\"uid:1\"\nverb=\"infer\""), "decision"},
           {row("principal=\"uid:1\"\nverb=\"infer\"\ndecision=\"perhaps\""), "t.toml:5"},
           {row(good + "resource=\"acme\""), "team/name"},
           {row(good + "resource=\"a/b/c\""), "team/name"},
           {row(good + "resource=\"a/b@\""), "no variant"},
           {row(good + "groups=[\"990\"]"), "gid:<n>"},
           {row(good + "groups=[\"gid:\"]"), "gid:<n>"},
           {row(good + groups + "]"), "64"},
           {row("principal=\"token:x\"\ngroups=[\"gid:1\"]\nverb=\"infer\"\ndecision=\"deny\""),
            "only a uid"},
           {row("principal=\"uid:1\"\nverb=\"infer\"\ndecision=\"allow\"\nrule=\"none\""), "none"},
           {row(good + "note=\"" + std::string(257, 'x') + "\""), "256"},
           {row(good + "nothing=1"), "unknown key"}}) {
    const auto table = parse_expectations(bad.text, "t.toml");
    ASSERT_FALSE(table) << bad.text;
    EXPECT_EQ(table.error().code(), Error::Code::kParse) << bad.text;
    EXPECT_THAT(table.error().message(), HasSubstr(bad.names)) << bad.text;
  }
}

TEST_F(PolicyExpectations, ExplainNamesEveryRuleThatHadASay) {
  const auto traces = policy_.explain(Principal::token("ci"), Verb::kInfer, {"acme/secret-x", ""});
  ASSERT_EQ(traces.size(), 3U);
  EXPECT_EQ(traces[0].match, PolicyRule::Match::kApplies);
  EXPECT_EQ(traces[1].rule, "no-secret");
  EXPECT_EQ(traces[1].effect, PolicyRule::Effect::kDeny);
  EXPECT_EQ(traces[1].match, PolicyRule::Match::kApplies);
  EXPECT_EQ(traces[2].match, PolicyRule::Match::kOtherVariant);
  EXPECT_TRUE(policy_.explain(Principal::token("other"), Verb::kInfer, {"acme/log", ""}).empty());
}

}  // namespace
}  // namespace skerry::security
