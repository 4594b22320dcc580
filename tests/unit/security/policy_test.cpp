// Bad policies are refused with the path of what is wrong; the store keeps the last good one.

#include <gtest/gtest.h>

#include "skerry/security/policy_store.hpp"

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

std::string policy(int version, const std::string& roles, const std::string& bindings) {
  return R"({"format":"skerry-policy/1","version":)" + std::to_string(version) + R"(,"roles":[)" +
         roles + R"(],"bindings":[)" + bindings + "]}";
}

std::string role(const std::string& rule) {
  return R"({"name":"r","rules":[)" + rule + "]}";
}

struct BadPolicy {
  std::string document;
  // What the message must name.
  std::string names;
};

TEST(PolicyParser, NamesThePathOfWhatIsWrong) {
  const std::string good_role = role(R"({"verbs":["infer"]})");
  const std::vector<BadPolicy> cases{
      {"", "byte 0"},
      {"[]", "object"},
      {R"({"format":"skerry-policy/2","version":1,"roles":[],"bindings":[]})", "format"},
      {R"({"format":"skerry-policy/1","version":0,"roles":[],"bindings":[]})", "version"},
      {R"({"format":"skerry-policy/1","version":1.5,"roles":[],"bindings":[]})", "version"},
      {R"({"format":"skerry-policy/1","version":1,"bindings":[]})", "roles: missing"},
      {R"({"format":"skerry-policy/1","version":1,"roles":[],"bindings":[],"x":1})", "x: unknown"},
      {R"({"format":"skerry-policy/1","version":1,"version":2,"roles":[],"bindings":[]})",
       "version"},
      {policy(1, role(R"({"verbs":["inferr"]})"), ""), "roles[0].rules[0].verbs[0]"},
      {policy(1, role(R"({"verbs":["inferr"]})"), ""), "did you mean 'infer'"},
      {policy(1, role(R"({"verbs":["nothing.*"]})"), ""), "roles[0].rules[0].verbs[0]"},
      {policy(1, role(R"({"verbs":[]})"), ""), "roles[0].rules[0].verbs"},
      {policy(1, role(R"({"verbs":[1]})"), ""), "roles[0].rules[0].verbs[0]"},
      {policy(1, role(R"({"verbs":["infer"],"effect":"maybe"})"), ""), "roles[0].rules[0].effect"},
      {policy(1, role(R"({"verbs":["infer"],"models":["acme"]})"), ""),
       "roles[0].rules[0].models[0]"},
      {policy(1, role(R"({"verbs":["infer"],"models":["a/b/c"]})"), ""), "models[0]"},
      {policy(1, role(R"({"verbs":["infer"],"models":["ACME/x"]})"), ""), "character 0"},
      {policy(1, role(R"({"verbs":["infer"],"model":["a/b"]})"), ""),
       "roles[0].rules[0].model: unknown member"},
      {policy(1, good_role + "," + good_role, ""), "roles[1].name"},
      {policy(1, R"({"name":"Bad Name","rules":[{"verbs":["infer"]}]})", ""), "roles[0].name"},
      {policy(1, good_role, R"({"name":"b","role":"x","subjects":["uid:1"]})"), "bindings[0].role"},
      {policy(1, good_role, R"({"name":"b","role":"r","subjects":[]})"), "bindings[0].subjects"},
      {policy(1, good_role, R"({"name":"b","role":"r","subjects":["uid:-1"]})"),
       "bindings[0].subjects[0]"},
      {policy(1, good_role, R"({"name":"b","role":"r","subjects":["uid:4294967296"]})"),
       "bindings[0].subjects[0]"},
      {policy(1, good_role, R"({"name":"b","role":"r","subjects":["robot:x"]})"),
       "bindings[0].subjects[0]"},
      {policy(1, good_role, R"({"name":"b","role":"r","subjects":["token:"]})"),
       "bindings[0].subjects[0]"},
  };
  for (const BadPolicy& bad : cases) {
    const auto parsed = Policy::parse(bad.document);
    ASSERT_FALSE(parsed) << bad.document;
    EXPECT_EQ(parsed.error().code(), Error::Code::kPolicyInvalid) << bad.document;
    EXPECT_NE(parsed.error().message().find(bad.names), std::string::npos)
        << bad.document << "\n  says: " << parsed.error().message();
  }
}

TEST(PolicyParser, HasLimits) {
  std::string roles;
  for (std::size_t i = 0; i <= PolicyLimits::kRoles; ++i) {
    roles += (i == 0 ? "" : ",") + std::string{R"({"name":"r)"} + std::to_string(i) +
             R"(","rules":[{"verbs":["infer"]}]})";
  }
  EXPECT_FALSE(Policy::parse(policy(1, roles, "")));
  EXPECT_FALSE(Policy::parse(std::string(PolicyLimits::kBytes + 1, ' ')));
  EXPECT_FALSE(Policy::parse(std::string(100, '[')));
}

class PolicyStoreTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST_F(PolicyStoreTest, StartsWithDenyingAndKeepsTheLastGoodOne) {
  {
    const auto store = PolicyStore::open(fs_, dir_ / "policy.json");
    ASSERT_TRUE(store);
    EXPECT_EQ((*store)->current()->version(), 0);
    ASSERT_TRUE((*store)->replace(policy(3, "", "")));
    EXPECT_FALSE((*store)->replace("broken"));
    EXPECT_EQ((*store)->current()->version(), 3);
  }
  const auto again = PolicyStore::open(fs_, dir_ / "policy.json");
  EXPECT_EQ((*again)->current()->version(), 3);
}

TEST_F(PolicyStoreTest, RefusesAnOlderPolicy) {
  const auto store = PolicyStore::open(fs_, dir_ / "policy.json");
  ASSERT_TRUE((*store)->replace(policy(3, "", "")));
  const auto older = (*store)->replace(policy(2, "", ""));
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code(), Error::Code::kRollback);
  EXPECT_TRUE((*store)->replace(policy(3, "", "")));
  EXPECT_EQ((*store)->replace(policy(3, "", "") + " ").error().code(), Error::Code::kRollback);
  EXPECT_TRUE((*store)->replace(policy(4, "", "")));
}

TEST_F(PolicyStoreTest, SaysThatItsCopyWasChanged) {
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "policy.json", "{}"));
  EXPECT_EQ(PolicyStore::open(fs_, dir_ / "policy.json").error().code(),
            Error::Code::kPolicyInvalid);
}

TEST(PolicyStoreFaults, ACrashLeavesTheOldOrTheNewPolicy) {
  for (std::uint64_t k = 0;; ++k) {
    test::TempDir dir;
    test::FaultFileSystem fs{dir.path()};
    {
      const auto store = PolicyStore::open(fs, dir / "policy.json");
      ASSERT_TRUE((*store)->replace(policy(1, "", "")));
    }
    fs.fail_at(k, test::Fault::kPowerCut);
    bool replaced = false;
    {
      const auto store = PolicyStore::open(fs, dir / "policy.json");
      replaced = store && (*store)->replace(policy(2, "", ""));
    }
    const bool fired = fs.fired();
    fs.restart(test::Loss::kUnsynced);
    const auto store = PolicyStore::open(fs, dir / "policy.json");
    ASSERT_TRUE(store) << k;
    const auto version = (*store)->current()->version();
    EXPECT_TRUE(version == 2 || (version == 1 && !replaced)) << k;
    if (!fired) {
      break;
    }
  }
}

}  // namespace
}  // namespace skerry::security
