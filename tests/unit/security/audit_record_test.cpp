#include "skerry/security/audit_record.hpp"

#include <gtest/gtest.h>

#include "skerry/common/bytes.hpp"

namespace skerry::security {
namespace {

AuditStamp stamp() {
  AuditStamp out;
  out.seq = 7;
  out.wall = *parse_rfc3339("2026-11-22T12:00:00Z");
  out.boot = std::chrono::seconds{5};
  out.boot_id = "b";
  out.device_id = "gw-17";
  out.tenant = "acme";
  return out;
}

TEST(AuditRecord, HasTheFieldsOfTheTable) {
  Decision decision;
  decision.verb = Verb::kInfer;
  decision.resource = {"acme/log-triage", "q4_k_m"};
  decision.reason = "denied: no rule";
  decision.policy_version = 3;
  AuditEvent event = AuditEvent::denied(
      Principal::local(1000, {1000, 27}, "ann"), "peercred", "inference.generate", decision);
  event.correlation_id = "r-1";
  const auto text = encode_audit_record(event, stamp());
  ASSERT_TRUE(text) << text.error().to_string();
  const auto record = Json::parse(*text);
  ASSERT_TRUE(record);
  EXPECT_EQ(*record->get_int("seq"), 7);
  EXPECT_EQ(*record->get_string("time"), "2026-11-22T12:00:00Z");
  EXPECT_EQ(*record->get_string("time_quality"), "unattested");
  EXPECT_EQ(*record->get_string("class"), "authorisation");
  EXPECT_EQ(*record->get_string("outcome"), "denied");
  EXPECT_EQ(*record->get_string("authn"), "peercred");
  EXPECT_EQ(*record->find("actor")->get_int("uid"), 1000);
  EXPECT_EQ(*record->find("authz")->get_int("policy_version"), 3);
  EXPECT_EQ(*record->find("object")->get_string("model"), "acme/log-triage");
  EXPECT_EQ(*record->get_string("correlation"), "r-1");
  EXPECT_EQ(*record->canonical(), *text);
  EXPECT_EQ(event.durability, AuditDurability::kDurable);
}

TEST(AuditRecord, HostileTextIsCleanedAndNeverRefused) {
  AuditEvent event;
  event.action = "inference.generate";
  event.actor = Principal::token(std::string(5000, 'x'));
  event.object.model = "a\n\"\\\x01\xff\xfe";
  event.reason = std::string(511, 'a');
  event.reason += "\xc3\xa9\xc3\xa9";
  event.actor.gids.assign(1000, 4);
  const auto text = encode_audit_record(event, stamp());
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_TRUE(is_utf8(*text));
  const auto record = Json::parse(*text);
  ASSERT_TRUE(record) << record.error().to_string();
  EXPECT_EQ(*record->find("object")->get_string("model"), "a?\"\\???");
  EXPECT_EQ(*record->get_string("reason"), std::string(511, 'a'));
  EXPECT_LT(text->size(), 8192U);
}

TEST(AuditRecord, OutcomeFollowsItsIntent) {
  const AuditEvent intent = AuditEvent::intent(
      AuditClass::kModelChange, Principal::system("activation"), "model.activate", "c-1");
  EXPECT_EQ(intent.phase, AuditPhase::kIntent);
  const AuditEvent outcome = intent.outcome_of(AuditOutcome::kFailure, "gate failed");
  EXPECT_EQ(outcome.phase, AuditPhase::kOutcome);
  EXPECT_EQ(outcome.correlation_id, "c-1");
  EXPECT_EQ(outcome.reason, "gate failed");
}

TEST(AuditRecord, DetailsAreBounded) {
  AuditEvent event;
  event.action = "a";
  Json::Object details;
  for (int i = 0; i < 20; ++i) {
    details["k" + std::to_string(i)] = Json{std::string(400, 'v')};
  }
  event.details = Json{details};
  EXPECT_FALSE(encode_audit_record(event, stamp()));
  event.details = Json{Json::Array{}};
  EXPECT_FALSE(encode_audit_record(event, stamp()));
}

}  // namespace
}  // namespace skerry::security
