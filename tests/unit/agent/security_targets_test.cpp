// What the security role signs, from a published folder to a gateway: taken, kept through restarts
// without a network, and refused on record when it is broken, older or signed by somebody else.

#include "skerry/agent/security_targets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "activation_rig.hpp"

namespace skerry::agent {
namespace {

using activation::is_resting;
using activation::Offer;
using activation::State;
using security::Principal;
using security::Verb;
using test::Node;
using test::Publisher;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kPolicyTarget = "security/policy/default";

std::string policy_for(int version, const std::string& subject) {
  return R"({"format":"skerry-policy/1","version":)" + std::to_string(version) +
         R"(,"roles":[{"name":"app","rules":[{"verbs":["infer"]}]}],"bindings":[)" +
         R"({"name":"b","role":"app","subjects":[")" + subject + "\"]}]}";
}

std::string revocations_text(int version, const std::string& entries) {
  return R"({"format":"skerry-revocations/1","version":)" + std::to_string(version) +
         R"(,"entries":[)" + entries + "]}";
}

std::string revoke(const std::string& effect, const std::string& what) {
  return R"({"id":"cve-1","effect":")" + effect + R"(","reason":"poisoned",)" + what + "}";
}

std::string permits_text(int version, const std::string& device, const std::string& expires) {
  return R"({"format":"skerry-permits/1","version":)" + std::to_string(version) +
         R"(,"permits":[{"nonce":"00112233445566ff","devices":[")" + device +
         R"("],"model":"acme/echo","from_counter":9,"to_counter":1,"expires":")" + expires +
         R"(","reason":"1.1.0 is slow"}]})";
}

class SecurityTargetsTest : public ::testing::Test {
 protected:
  using Record = activation::Record;

  void SetUp() override { publisher_.delegate("security", {"security/*", "security/*/*"}); }

  std::unique_ptr<Node> node() { return std::make_unique<Node>(dir_ / "state", publisher_); }
  static bool allowed(const Node& node, std::uint32_t uid) {
    const auto policy = node.security->policy();
    return policy && policy->decide(Principal::local(uid, {}), Verb::kInfer, {"a/b", ""}).allowed;
  }
  static std::string problem(const Node& node, const std::string& name) {
    for (const auto& view : node.security->views()) {
      if (view.name == name) {
        return view.problem;
      }
    }
    return "no such document";
  }

  // Offers `target` to a fresh gateway over the same state and waits until the slot rests.
  Record offer(const std::string& target, std::uint64_t generation, bool vouched = false) {
    const auto gateway = node();
    gateway->vouched = vouched;
    Record last;
    gateway->run(
        [&](Node& running) {
          Offer wish;
          wish.generation = generation;
          wish.target = target;
          running.slots->offer("default", wish);
        },
        [&](const SlotView& view) {
          last = view.record;
          return is_resting(view.record.state) && view.record.offer.generation == generation;
        });
    records = gateway->audit_records();
    return last;
  }

  std::string active_version() {
    SystemClock clock;
    auto catalogue = registry::Catalogue::open(dir_ / "state/registry.db", clock);
    EXPECT_TRUE(catalogue);
    auto slot = (*catalogue)->slot(SlotName{"default"});
    return slot && slot->active ? slot->active->version : "";
  }

  test::TempDir dir_;
  Publisher publisher_{dir_ / "repo"};
  std::string records;
};

TEST_F(SecurityTargetsTest, ASignedPolicyIsTakenAndStaysWithoutANetwork) {
  {
    const auto one = node();
    EXPECT_EQ(one->security->policy(), nullptr) << "none was ever signed";
    publisher_.document(kPolicyTarget, policy_for(3, "uid:1000"));
    ASSERT_TRUE(one->installer->refresh_trust(*one->source));
    EXPECT_TRUE(allowed(*one, 1000));
    EXPECT_FALSE(allowed(*one, 1001));
    EXPECT_EQ(problem(*one, "policy"), "");
    const std::string log = one->audit_records();
    EXPECT_LT(log.find(R"("phase":"intent")"), log.find(R"("phase":"outcome")"));
    EXPECT_THAT(log, HasSubstr("policy.take_signed"));
    EXPECT_THAT(log, HasSubstr(R"("role":"security")"));
  }
  const auto two = node();
  EXPECT_TRUE(allowed(*two, 1000)) << "from disk, before any refresh";
  EXPECT_EQ(two->security->policy_document(), policy_for(3, "uid:1000"));
  publisher_.document(kPolicyTarget, policy_for(4, "uid:1001"));
  ASSERT_TRUE(two->installer->refresh_trust(*two->source));
  EXPECT_FALSE(allowed(*two, 1000));
  EXPECT_TRUE(allowed(*two, 1001));
}

TEST_F(SecurityTargetsTest, BrokenAndOlderPoliciesAreRefusedOnRecordAndTheLastGoodOneStays) {
  auto one = node();
  publisher_.document(kPolicyTarget, policy_for(5, "uid:1000"));
  ASSERT_TRUE(one->installer->refresh_trust(*one->source));
  struct Row {
    std::string document;
    std::string says;
  };
  for (const Row& row : std::vector<Row>{{"{}", "format"},
                                         {policy_for(4, "uid:1001"), "does not follow version 5"},
                                         {policy_for(5, "uid:1001"), "does not follow version 5"},
                                         {policy_for(6, "robot:x"), "subjects[0]"}}) {
    publisher_.document(kPolicyTarget, row.document);
    ASSERT_TRUE(one->installer->refresh_trust(*one->source));
    EXPECT_TRUE(allowed(*one, 1000)) << row.document;
    EXPECT_FALSE(allowed(*one, 1001)) << row.document;
    EXPECT_THAT(problem(*one, "policy"), HasSubstr(row.says)) << row.document;
    EXPECT_THAT(one->audit_records(), HasSubstr("policy.refuse_signed"));
    EXPECT_THAT(one->audit_records(), HasSubstr(row.says));
  }
  one.reset();
  one = node();
  EXPECT_TRUE(allowed(*one, 1000)) << "after a restart, too";
  publisher_.document(kPolicyTarget, policy_for(7, "uid:1001"));
  ASSERT_TRUE(one->installer->refresh_trust(*one->source));
  EXPECT_TRUE(allowed(*one, 1001));
  EXPECT_EQ(problem(*one, "policy"), "");
}

TEST_F(SecurityTargetsTest, OnlyTheSecurityRoleAndTargetsMaySignThem) {
  // A team whose delegation was drawn too wide, and comes first.
  test::TempDir other;
  Publisher wide{other / "repo"};
  wide.delegate("team", {"security/*/*", "models/acme/*/*"});
  wide.document(kPolicyTarget, policy_for(3, "uid:1000"), "team");
  Node gateway{other / "state", wide};
  ASSERT_TRUE(gateway.installer->refresh_trust(*gateway.source));
  EXPECT_EQ(gateway.security->policy(), nullptr);
  EXPECT_THAT(problem(gateway, "policy"), HasSubstr("signed by the role team"));
  EXPECT_THAT(gateway.audit_records(), HasSubstr("policy.refuse_signed"));
}

TEST_F(SecurityTargetsTest, APolicyThatIsLostDeniesUntilItComesBack) {
  publisher_.document(kPolicyTarget, policy_for(3, "uid:1000"));
  {
    const auto one = node();
    ASSERT_TRUE(one->installer->refresh_trust(*one->source));
  }
  for (const char* name : {"policy.signed.json", "policy.signed.json.previous"}) {
    std::filesystem::remove(dir_ / "state" / name);
  }
  const auto two = node();
  ASSERT_NE(two->security->policy(), nullptr);
  EXPECT_FALSE(allowed(*two, 1000)) << "no fall back to something weaker";
  EXPECT_THAT(problem(*two, "policy"), HasSubstr("lost"));
  ASSERT_TRUE(two->installer->refresh_trust(*two->source));
  EXPECT_TRUE(allowed(*two, 1000));
}

TEST_F(SecurityTargetsTest, BlockNewKeepsANewVersionOutAndLetsTheRunningOneBe) {
  ASSERT_EQ(offer(publisher_.release("1.0.0", 1), 1).state, State::kCommitted);
  const std::string next = publisher_.release("1.1.0", 2);
  publisher_.document("security/revocations",
                      revocations_text(1, revoke("block-new", R"("model":"acme/*")")));
  const Record record = offer(next, 2);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_THAT(record.reason, HasSubstr("revoked (block-new) by cve-1: poisoned"));
  EXPECT_EQ(active_version(), "1.0.0");
}

TEST_F(SecurityTargetsTest, WarnIsToldAndStopsNothing) {
  publisher_.document("security/revocations",
                      revocations_text(1, revoke("warn", R"("model":"acme/*")")));
  ASSERT_EQ(offer(publisher_.release("1.0.0", 1), 1).state, State::kCommitted);
  EXPECT_EQ(active_version(), "1.0.0");
  const auto gateway = node();
  ASSERT_TRUE(gateway->installer->refresh_trust(*gateway->source));
}

TEST_F(SecurityTargetsTest, ABlobOfOneVariantLeavesTheOthers) {
  const std::string target = publisher_.release("1.0.0", 1, "ping", {"one", "two"});
  const auto weights = test::make_file(registry::FileRole::kWeights, "one.bin", 600'001, 1);
  publisher_.document(
      "security/revocations",
      revocations_text(
          1, revoke("block-new", "\"blob\":\"" + weights.entry.digest.to_string() + "\"")));
  const Record record = offer(target, 1);
  EXPECT_EQ(record.state, State::kCommitted) << record.reason;
  EXPECT_EQ(record.variant, "two");
}

class StopTest : public SecurityTargetsTest {
 protected:
  // Publishes a stop, refreshes a running gateway, waits until its slot says so.
  Record stop(const std::string& what) {
    publisher_.document("security/revocations", revocations_text(1, revoke("stop", what)));
    const auto gateway = node();
    Record last;
    gateway->run(
        [&](Node& running) { ASSERT_TRUE(running.installer->refresh_trust(*running.source)); },
        [&](const SlotView& view) {
          last = view.record;
          return view.record.state == State::kRolledBack;
        });
    EXPECT_EQ(gateway->security->stops(), 1U);
    records = gateway->audit_records();
    return last;
  }
};

TEST_F(StopTest, StopEndsARunningModelAndTheOneBeforeItTakesOver) {
  ASSERT_EQ(offer(publisher_.release("1.0.0", 1), 1).state, State::kCommitted);
  ASSERT_EQ(offer(publisher_.release("1.1.0", 2), 2).state, State::kCommitted);
  const Record record = stop(R"("model":"acme/echo","versions":["1.1.*"])");
  EXPECT_EQ(record.reason_code, "revoked");
  EXPECT_THAT(record.reason, HasSubstr("revoked (stop) by cve-1"));
  EXPECT_EQ(active_version(), "1.0.0");
  EXPECT_THAT(records, HasSubstr("model.stop"));
  EXPECT_LT(records.find("revocations.take_signed"), records.find("model.stop"));
  // It does not come back, neither by an offer nor by a restart.
  const Record again = offer("models/acme/echo/1.1.0", 3);
  EXPECT_EQ(again.state, State::kRejected);
  EXPECT_EQ(active_version(), "1.0.0");
}

TEST_F(StopTest, StopLeavesTheSlotEmptyWhereTheOneBeforeIsRevokedToo) {
  ASSERT_EQ(offer(publisher_.release("1.0.0", 1), 1).state, State::kCommitted);
  ASSERT_EQ(offer(publisher_.release("1.1.0", 2), 2).state, State::kCommitted);
  stop(R"("model":"acme/echo")");
  EXPECT_EQ(active_version(), "");
}

TEST_F(StopTest, ARevokedModelIsNotServedFromTheFirstMomentOfAStart) {
  ASSERT_EQ(offer(publisher_.release("1.0.0", 1), 1).state, State::kCommitted);
  publisher_.document("security/revocations",
                      revocations_text(1, revoke("stop", R"("model":"*")")));
  {
    // Taken, and the power goes before anything is done about it.
    const auto gateway = node();
    ASSERT_TRUE(gateway->installer->refresh_trust(*gateway->source));
  }
  EXPECT_EQ(active_version(), "1.0.0");
  const auto gateway = node();
  Record last;
  gateway->run([&](Node& running) { running.slots->enforce(); },
               [&](const SlotView& view) {
                 last = view.record;
                 return view.record.state == State::kRolledBack;
               });
  EXPECT_EQ(gateway->supervisor->loads, 0);
  EXPECT_EQ(active_version(), "");
}

TEST_F(SecurityTargetsTest, AnOlderCounterNeedsAPermitWhichIsGoodOnce) {
  const std::string old = publisher_.release("1.0.0", 1);
  const std::string next = publisher_.release("1.1.0", 2);
  ASSERT_EQ(offer(next, 1).state, State::kCommitted);
  Record record = offer(old, 2);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_EQ(record.reason_code, "rollback");
  EXPECT_THAT(record.reason, HasSubstr("a signed downgrade permit is needed"));

  publisher_.document("security/permits", permits_text(1, "office-*", "2099-01-01T00:00:00Z"));
  EXPECT_EQ(offer(old, 3).state, State::kRejected) << "it names other gateways";

  publisher_.document("security/permits", permits_text(2, "gw-*", "2099-01-01T00:00:00Z"));
  record = offer(old, 4);
  EXPECT_EQ(record.state, State::kCommitted) << record.reason;
  EXPECT_EQ(active_version(), "1.0.0");

  ASSERT_EQ(offer(next, 5).state, State::kCommitted) << "forward needs none";
  record = offer(old, 6);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_THAT(record.reason, HasSubstr("permit 00112233445566ff was used"));
  EXPECT_EQ(active_version(), "1.1.0");
}

TEST_F(SecurityTargetsTest, AnEndedPermitIsRefusedByAClockThatSomebodyVouchesFor) {
  const std::string old = publisher_.release("1.0.0", 1);
  ASSERT_EQ(offer(publisher_.release("1.1.0", 2), 1).state, State::kCommitted);
  publisher_.document("security/permits", permits_text(1, "gw-1", "2020-01-01T00:00:00Z"));
  const Record record = offer(old, 2, true);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_THAT(record.reason, HasSubstr("ended at 2020-01-01"));
}

TEST_F(SecurityTargetsTest, NotAfterRefusesByAVouchedClockAndWarnsByAnother) {
  const Json custom{Json::Object{{"not_after", "2020-01-01T00:00:00Z"}}};
  const std::string target = publisher_.release("1.0.0", 1, "ping", {"raw"}, custom);
  Record record = offer(target, 1, true);
  EXPECT_EQ(record.state, State::kRejected);
  EXPECT_EQ(record.reason_code, "metadata_expired");
  EXPECT_THAT(record.reason, HasSubstr("may not be installed after 2020-01-01"));
  record = offer(target, 2, false);
  EXPECT_EQ(record.state, State::kCommitted) << record.reason;
}

}  // namespace
}  // namespace skerry::agent
