#include "sync/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent::sync {
namespace {

namespace pb = fleet::v1;
using ::testing::HasSubstr;

Session make_session() {
  Identity identity;
  identity.tenant_id = "acme";
  identity.boot_id = "boot";
  identity.info.set_hostname("gw-7");
  return Session{std::move(identity)};
}

pb::ControllerMessage hello(std::uint32_t version, std::uint32_t lowest) {
  pb::ControllerMessage message;
  message.mutable_hello()->set_protocol_version(version);
  message.mutable_hello()->set_min_protocol_version(lowest);
  (*message.mutable_hello()->mutable_acknowledged())["telemetry"] = 4;
  return message;
}

Session established() {
  Session session = make_session();
  EXPECT_TRUE(session.on_message(hello(1, 1)));
  return session;
}

TEST(SyncSession, HelloNamesVersionsGenerationsAndIdentity) {
  const pb::DeviceMessage message = make_session().hello(123, {{"default", 7}}, std::nullopt);
  ASSERT_TRUE(message.has_hello());
  EXPECT_EQ(message.hello().protocol_version(), kProtocolVersion);
  EXPECT_EQ(message.hello().generations().at("default"), 7U);
  EXPECT_EQ(message.hello().tenant_id(), "acme");
  EXPECT_EQ(message.hello().info().hostname(), "gw-7");
  EXPECT_FALSE(message.hello().has_audit());
}

TEST(SyncSession, AcceptsTheControllersHello) {
  Session session = make_session();
  EXPECT_FALSE(session.may_send());
  Result<Session::Effects> effects = session.on_message(hello(1, 1));
  ASSERT_TRUE(effects) << effects.error().to_string();
  EXPECT_TRUE(effects->established);
  ASSERT_TRUE(effects->acknowledged);
  EXPECT_EQ(effects->acknowledged->at("telemetry"), 4U);
  EXPECT_TRUE(session.may_send());
}

TEST(SyncSession, SpeaksItsOwnVersionWithANewerController) {
  Session session = make_session();
  ASSERT_TRUE(session.on_message(hello(9, 1)));
  EXPECT_EQ(session.protocol(), kProtocolVersion);
}

TEST(SyncSession, RefusesAControllerThatIsTooNewAndSaysWhomToUpdate) {
  Session session = make_session();
  Result<Session::Effects> effects = session.on_message(hello(9, 8));
  ASSERT_FALSE(effects);
  EXPECT_EQ(effects.error().code(), Error::Code::kProtocolMismatch);
  EXPECT_THAT(effects.error().message(), HasSubstr("8 to 9"));
  EXPECT_THAT(effects.error().message(), HasSubstr("update skerryd"));
}

TEST(SyncSession, RefusesAControllerThatIsTooOld) {
  Session session = make_session();
  Result<Session::Effects> effects = session.on_message(hello(0, 0));
  ASSERT_FALSE(effects);
  EXPECT_THAT(effects.error().message(), HasSubstr("update the controller"));
}

TEST(SyncSession, RefusesAnythingBeforeTheHelloAndASecondOne) {
  Session session = make_session();
  pb::ControllerMessage desired;
  desired.mutable_desired();
  EXPECT_FALSE(session.on_message(desired));
  Session greeted = established();
  EXPECT_FALSE(greeted.on_message(hello(1, 1)));
}

TEST(SyncSession, TurnsDesiredStateIntoOffers) {
  Session session = established();
  pb::ControllerMessage message;
  pb::DesiredSlot& slot = *message.mutable_desired()->add_slots();
  slot.set_slot("default");
  slot.set_generation(3);
  slot.set_target("models/acme/log-triage/1.2.0");
  slot.set_manifest_digest("sha256:aa");
  slot.set_rollout_id("r1");
  Result<Session::Effects> effects = session.on_message(message);
  ASSERT_TRUE(effects);
  ASSERT_EQ(effects->offers.size(), 1U);
  EXPECT_EQ(effects->offers[0].slot, "default");
  EXPECT_EQ(effects->offers[0].offer.generation, 3U);
  EXPECT_EQ(effects->offers[0].offer.rollout_id, "r1");
}

TEST(SyncSession, TakesARequestToProveTheAuditLog) {
  Session session = established();
  const pb::DeviceMessage greeting = session.hello(1, {}, std::nullopt);
  EXPECT_THAT(greeting.hello().capabilities(), testing::Contains("audit_consistency"));
  pb::ControllerMessage message;
  message.mutable_audit_proof()->set_old_size(5);
  message.mutable_audit_proof()->set_new_size(9);
  Result<Session::Effects> effects = session.on_message(message);
  ASSERT_TRUE(effects);
  ASSERT_TRUE(effects->prove);
  EXPECT_EQ(effects->prove->old_size, 5U);
  EXPECT_EQ(effects->prove->new_size, 9U);
}

TEST(SyncSession, RefusesADesiredStateBeyondItsLimits) {
  Session session = established();
  pb::ControllerMessage many;
  for (int i = 0; i <= Session::kMaxSlots; ++i) {
    many.mutable_desired()->add_slots()->set_slot("s");
  }
  EXPECT_FALSE(session.on_message(many));
  pb::ControllerMessage large;
  large.mutable_desired()->add_slots()->set_target(std::string(Session::kMaxText + 1, 'x'));
  EXPECT_FALSE(session.on_message(large));
}

TEST(SyncSession, SaysWhatItKnowsOfTheDirectorAndTakesItsFiles) {
  Identity identity;
  identity.director = {2, 77};
  const pb::DeviceMessage greeting = Session{identity}.hello(1, {}, std::nullopt);
  EXPECT_EQ(greeting.hello().director_root_version(), 2U);
  EXPECT_EQ(greeting.hello().director_version(), 77U);
  EXPECT_THAT(greeting.hello().capabilities(), testing::Contains("director"));
  Session session = established();
  pb::ControllerMessage message;
  auto* file = message.mutable_desired()->add_director();
  file->set_name("timestamp.json");
  file->set_content("{}");
  Result<Session::Effects> effects = session.on_message(message);
  ASSERT_TRUE(effects) << effects.error().to_string();
  EXPECT_TRUE(effects->desired);
  EXPECT_EQ(effects->director.at("timestamp.json"), "{}");
  EXPECT_TRUE(effects->offers.empty());
  for (int i = 0; i < Session::kMaxFiles; ++i) {
    message.mutable_desired()->add_director()->set_name(std::to_string(i));
  }
  EXPECT_EQ(session.on_message(message).error().code(), Error::Code::kInvalidArgument);
  message.mutable_desired()->clear_director();
  message.mutable_desired()->add_director()->set_content(
      std::string(Session::kMaxFileBytes + 1, 'x'));
  EXPECT_EQ(session.on_message(message).error().code(), Error::Code::kInvalidArgument);
}

TEST(SyncSession, SendsOneBatchAtATime) {
  Session session = established();
  pb::OutboxRecord body;
  body.mutable_telemetry()->set_start_unix_ms(5);
  const pb::DeviceMessage message = session.batch({
      OutboxEntry{"telemetry", 5, 5, false, body.SerializeAsString()},
      OutboxEntry{"telemetry", 9, 6, true, "outbox full"},
      OutboxEntry{"telemetry", 10, 10, false, "\xff\xff\xff"},
  });
  ASSERT_EQ(message.outbox().records_size(), 3);
  EXPECT_EQ(message.outbox().records(0).seq(), 5U);
  EXPECT_EQ(message.outbox().records(0).telemetry().start_unix_ms(), 5U);
  EXPECT_EQ(message.outbox().records(1).gap().first_seq(), 6U);
  EXPECT_EQ(message.outbox().records(1).gap().last_seq(), 9U);
  EXPECT_EQ(message.outbox().records(2).gap().reason(), "unreadable record");
  EXPECT_FALSE(session.may_send());
  pb::ControllerMessage ack;
  (*ack.mutable_ack()->mutable_acknowledged())["telemetry"] = 10;
  Result<Session::Effects> effects = session.on_message(ack);
  ASSERT_TRUE(effects);
  EXPECT_EQ(effects->acknowledged->at("telemetry"), 10U);
  EXPECT_TRUE(session.may_send());
}

TEST(SyncSession, IgnoresAMessageOfAKindItDoesNotKnow) {
  Session session = established();
  EXPECT_TRUE(session.on_message(pb::ControllerMessage{}));
}

TEST(SyncSession, ShowsItsNonceAndTakesTheNextOne) {
  Identity identity;
  identity.nonce = "n-1";
  identity.trust_sha256 = std::string(32, 't');
  Session session{std::move(identity)};
  const pb::DeviceMessage first = session.hello(1, {}, std::nullopt);
  EXPECT_EQ(first.hello().sync_nonce(), "n-1");
  EXPECT_EQ(first.hello().trust_sha256().size(), 32U);
  pb::ControllerMessage answer = hello(1, 1);
  answer.mutable_hello()->set_sync_nonce("n-2");
  Result<Session::Effects> effects = session.on_message(answer);
  ASSERT_TRUE(effects);
  EXPECT_EQ(effects->nonce, "n-2");
  // A controller that knows no nonces.
  Session other = make_session();
  EXPECT_FALSE(other.on_message(hello(1, 1))->nonce);
}

TEST(SyncSession, PassesAuthoritiesAndOrdersOnWithinLimits) {
  Session session = established();
  pb::ControllerMessage message;
  message.mutable_trust()->set_anchors_pem("pem");
  EXPECT_EQ(session.on_message(message)->trust->anchors_pem(), "pem");
  message.mutable_trust()->set_anchors_pem(std::string(200'000, 'x'));
  EXPECT_EQ(session.on_message(message).error().code(), Error::Code::kTooLarge);
  message.mutable_decommission()->set_order_id("o-1");
  EXPECT_EQ(session.on_message(message)->decommission->order_id(), "o-1");
  for (int i = 0; i < 9; ++i) {
    message.mutable_decommission()->add_signatures("s");
  }
  EXPECT_EQ(session.on_message(message).error().code(), Error::Code::kTooLarge);
  Session early = make_session();
  EXPECT_FALSE(early.on_message(message));
  pb::ControllerMessage greeting = hello(1, 1);
  greeting.mutable_hello()->set_sync_nonce(std::string(65, 'n'));
  EXPECT_FALSE(early.on_message(greeting));
}

}  // namespace
}  // namespace skerry::agent::sync
