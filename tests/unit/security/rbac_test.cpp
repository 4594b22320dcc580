#include "skerry/security/rbac.hpp"

#include <set>

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

constexpr std::string_view kPolicy = R"({
  "format": "skerry-policy/1",
  "version": 7,
  "roles": [
    {"name": "app", "rules": [
      {"verbs": ["infer", "embed", "list"], "models": ["acme/*"]},
      {"id": "no-secret", "effect": "deny", "verbs": ["*"], "models": ["acme/secret*"]}]},
    {"name": "everything", "rules": [{"verbs": ["*"]}]},
    {"name": "q4-only", "rules": [{"verbs": ["infer"], "models": ["lab/x"], "variants": ["q4_*"]}]},
    {"name": "auditor", "rules": [{"verbs": ["audit.*"]}]}
  ],
  "bindings": [
    {"name": "local-apps", "role": "app", "subjects": ["gid:990", "token:ci", "group:apps"]},
    {"name": "root", "role": "everything", "subjects": ["uid:0"]},
    {"name": "lab", "role": "q4-only", "subjects": ["uid:1001"]},
    {"name": "auditors", "role": "auditor", "subjects": ["spiffe://fleet.example/operator/*"]},
    {"name": "root-too", "role": "app", "subjects": ["uid:7"]},
    {"name": "root-all", "role": "everything", "subjects": ["uid:7", "system:sync"]}
  ]
})";

class RbacTest : public ::testing::Test {
 protected:
  Policy policy_ = *Policy::parse(kPolicy);
  Principal app_ = Principal::local(1000, {1000, 990});
};

TEST_F(RbacTest, AllowsWhatARuleAllowsAndSaysWhy) {
  const Decision decision = policy_.decide(app_, Verb::kInfer, {"acme/log-triage", "q4_k_m"});
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.role, "app");
  EXPECT_EQ(decision.binding, "local-apps");
  EXPECT_EQ(decision.rule, "app/rules[0]");
  EXPECT_EQ(decision.policy_version, 7);
  EXPECT_TRUE(decision.check());
}

TEST_F(RbacTest, DeniesByDefaultAndSaysWhy) {
  const Decision other = policy_.decide(app_, Verb::kInfer, {"other/model", ""});
  EXPECT_FALSE(other.allowed);
  EXPECT_NE(other.reason.find("no rule"), std::string::npos);
  EXPECT_EQ(other.check().error().code(), Error::Code::kPermissionDenied);
  EXPECT_EQ(other.check().error().message(), "uid:1000 may not infer other/model");

  const Decision stranger = policy_.decide(Principal::local(5, {5}), Verb::kInfer, {"acme/x", ""});
  EXPECT_FALSE(stranger.allowed);
  EXPECT_NE(stranger.reason.find("no binding"), std::string::npos);
  EXPECT_FALSE(policy_.decide(app_, Verb::kAdminTokens).allowed);
  EXPECT_FALSE(policy_.decide(Principal{}, Verb::kInfer, {"acme/x", ""}).allowed);
}

TEST_F(RbacTest, AnExplicitDenyWinsOverEveryAllow) {
  const Decision decision = policy_.decide(app_, Verb::kInfer, {"acme/secret-model", ""});
  EXPECT_FALSE(decision.allowed);
  EXPECT_EQ(decision.rule, "no-secret");
  // Also over an allow of another binding, whichever comes first.
  EXPECT_FALSE(policy_.decide(Principal::local(7, {7}), Verb::kInfer, {"acme/secret", ""}).allowed);
  EXPECT_TRUE(policy_.decide(Principal::local(0, {0}), Verb::kInfer, {"acme/secret", ""}).allowed);
}

TEST_F(RbacTest, BindsEveryKindOfSubject) {
  EXPECT_TRUE(policy_.decide(Principal::token("ci"), Verb::kInfer, {"acme/x", ""}).allowed);
  EXPECT_FALSE(policy_.decide(Principal::token("cd"), Verb::kInfer, {"acme/x", ""}).allowed);
  Principal named = Principal::local(3000, {3000});
  named.groups = {"apps"};
  EXPECT_TRUE(policy_.decide(named, Verb::kInfer, {"acme/x", ""}).allowed);
  EXPECT_TRUE(
      policy_.decide(Principal::spiffe("spiffe://fleet.example/operator/ann"), Verb::kAuditExport)
          .allowed);
  EXPECT_FALSE(
      policy_.decide(Principal::spiffe("spiffe://fleet.example/device/gw"), Verb::kAuditExport)
          .allowed);
  EXPECT_FALSE(
      policy_.decide(Principal::spiffe("spiffe://evil.example/operator/ann"), Verb::kAuditExport)
          .allowed);
  EXPECT_TRUE(policy_.decide(Principal::system("sync"), Verb::kLoad, {"a/b", ""}).allowed);
}

// A token may be named like a uid, a group like a token: kinds never mix.
TEST_F(RbacTest, KindsOfSubjectsDoNotMix) {
  EXPECT_FALSE(policy_.decide(Principal::token("0"), Verb::kAdminTokens).allowed);
  EXPECT_FALSE(policy_.decide(Principal::token("sync"), Verb::kLoad, {"a/b", ""}).allowed);
  Principal token = Principal::token("x");
  token.gids = {990};
  token.uid = 0;
  EXPECT_FALSE(policy_.decide(token, Verb::kInfer, {"acme/x", ""}).allowed);
}

TEST(RbacQuota, IsThatOfTheRoleThatAllows) {
  const auto policy = Policy::parse(R"({"format": "skerry-policy/1", "version": 1, "roles": [
    {"name": "free", "rules": [{"verbs": ["list"]}]},
    {"name": "app", "quota": {"requests_per_minute": 60, "concurrent": 2},
     "rules": [{"verbs": ["infer"]}]},
    {"name": "big", "quota": {"tokens_per_minute": 1000000000}, "rules": [{"verbs": ["infer"]}]}],
    "bindings": [{"name": "a", "role": "free", "subjects": ["uid:1"]},
                 {"name": "b", "role": "app", "subjects": ["uid:1"]},
                 {"name": "c", "role": "big", "subjects": ["uid:1", "uid:2"]}]})");
  ASSERT_TRUE(policy) << policy.error().to_string();
  const auto quota = [&](std::uint32_t uid, Verb verb) {
    return policy->decide(Principal::local(uid, {uid}), verb, {"acme/x", "q4_0"}).quota;
  };
  EXPECT_EQ(quota(1, Verb::kInfer), (PolicyQuota{60, 0, 2})) << "the first that allows";
  EXPECT_EQ(quota(2, Verb::kInfer), (PolicyQuota{0, 1000000000, 0}));
  EXPECT_TRUE(quota(1, Verb::kList).empty());
  EXPECT_TRUE(quota(3, Verb::kInfer).empty()) << "denied";
}

TEST(RbacQuota, MustNameALimitInRange) {
  for (const char* const bad : {R"({})",
                                R"([])",
                                R"(7)",
                                R"({"concurrent": 0})",
                                R"({"concurrent": -1})",
                                R"({"concurrent": 1.5})",
                                R"({"tokens_per_minute": 1000000001})",
                                R"({"requests_per_minute": "60"})",
                                R"({"requests_per_hour": 60})"}) {
    std::string document{
        R"({"format": "skerry-policy/1", "version": 1, "bindings": [], "roles": [)"};
    document.append(R"({"name": "a", "rules": [{"verbs": ["infer"]}], "quota": )");
    document.append(bad).append("}]}");
    const auto policy = Policy::parse(document);
    ASSERT_FALSE(policy) << bad;
    EXPECT_NE(policy.error().message().find("roles[0].quota"), std::string::npos)
        << policy.error().message();
  }
}

TEST_F(RbacTest, VariantsAreChecked) {
  const Principal lab = Principal::local(1001, {1001});
  EXPECT_TRUE(policy_.decide(lab, Verb::kInfer, {"lab/x", "q4_k_m"}).allowed);
  EXPECT_FALSE(policy_.decide(lab, Verb::kInfer, {"lab/x", "q8_0"}).allowed);
  EXPECT_FALSE(policy_.decide(lab, Verb::kInfer, {"lab/x", ""}).allowed);
}

TEST_F(RbacTest, AnEmptyPolicyDeniesEverything) {
  const Policy empty;
  for (const Verb verb : all_verbs()) {
    EXPECT_FALSE(empty.decide(Principal::local(0, {0}), verb, {"a/b", "c"}).allowed);
  }
}

TEST(Glob, StarsNeverCrossASlash) {
  EXPECT_TRUE(glob_matches("acme/*", "acme/log-triage"));
  EXPECT_TRUE(glob_matches("*/log-*", "acme/log-triage"));
  EXPECT_TRUE(glob_matches("a*b*c/d?f", "aXbYbZc/def"));
  EXPECT_TRUE(glob_matches("acme/*", "acme/"));
  EXPECT_FALSE(glob_matches("acme/*", "acme/a/b"));
  EXPECT_FALSE(glob_matches("*", "acme/x"));
  EXPECT_FALSE(glob_matches("acme?x", "acme/x"));
  EXPECT_FALSE(glob_matches("acme", "acme/x"));
  EXPECT_FALSE(glob_matches("acme/x", "acme"));
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_TRUE(glob_matches("", ""));
}

TEST(Glob, ManyStarsStayQuick) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) {
    pattern += "*a";
  }
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(256, 'a')));
}

TEST(Verb, NamesRoundTripAndAreUnique) {
  std::set<std::string_view> names;
  for (const Verb verb : all_verbs()) {
    EXPECT_EQ(*parse_verb(to_string(verb)), verb);
    EXPECT_TRUE(names.insert(to_string(verb)).second);
  }
  EXPECT_NE(parse_verb("inferr").error().message().find("'infer'"), std::string::npos);
}

}  // namespace
}  // namespace skerry::security
