#include "device_standing.hpp"

#include <gtest/gtest.h>

#include "skerry/controller/store.hpp"
#include "skerry/security/decommission.hpp"

#include "device_session.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;

std::string word(const DeviceLifeRecord& life) {
  return std::string{standing_of(life).word};
}

TEST(DeviceStanding, FollowsWhatOperatorsDo) {
  DeviceLifeRecord life;
  life.device_id = "dev-1";
  EXPECT_EQ(word(life), "active");
  EXPECT_FALSE(reinstate(life));
  ASSERT_TRUE(revoke(life, "ann", "lost", 10));
  EXPECT_EQ(word(life), "revoked");
  EXPECT_EQ(standing_of(life).reason, "lost");
  EXPECT_FALSE(revoke(life, "ann", "again", 11));
  // A refused device cannot be told anything.
  EXPECT_FALSE(order_decommission(life, "ann", "", "o-1", 12));
  ASSERT_TRUE(reinstate(life));
  EXPECT_EQ(word(life), "active");
  EXPECT_TRUE(life.nonce_reset);
  ASSERT_TRUE(order_decommission(life, "ann", "sold", "o-1", 20));
  EXPECT_EQ(word(life), "decommission ordered");
  EXPECT_FALSE(order_decommission(life, "ann", "sold", "o-2", 21));
  // Before it has the order, that can be taken back.
  ASSERT_TRUE(reinstate(life));
  ASSERT_TRUE(order_decommission(life, "ann", "sold", "o-3", 22));
  life.decommissioned_ms = 30;
  EXPECT_EQ(word(life), "decommissioned");
  EXPECT_FALSE(reinstate(life));
  EXPECT_FALSE(revoke(life, "ann", "", 31));
  EXPECT_FALSE(order_decommission(life, "ann", "", "o-4", 32));
}

// A session over a store, with one enrolled device.
class CopySession : public ::testing::Test {
 protected:
  void SetUp() override {
    TokenRecord token;
    token.token_id = "t";
    token.tenant_id = "default";
    ASSERT_TRUE(store_->add_token(token));
    DeviceRecord device;
    device.device_id = "dev-1";
    device.tenant_id = "default";
    CertificateRecord certificate;
    certificate.fingerprint = "f";
    certificate.issued_ms = 1;
    ASSERT_TRUE(store_->enrol("t", device, certificate));
  }
  // One connection that shows `nonce` and a certificate that begins at `issued`.
  DeviceSession::Outcome greet(const std::string& nonce, std::int64_t issued, bool quarantine) {
    DeviceSession session{*store_,
                          clock_,
                          Log{},
                          "dev-1",
                          "default",
                          false,
                          CloneGuard{&random_, issued, quarantine}};
    pb::DeviceMessage message;
    message.mutable_hello()->set_protocol_version(1);
    message.mutable_hello()->add_capabilities("sync_nonce");
    message.mutable_hello()->set_sync_nonce(nonce);
    auto outcome = session.on_message(message);
    EXPECT_TRUE(outcome) << outcome.error().to_string();
    if (outcome && outcome->greeted) {
      pb::DeviceMessage stored;
      stored.mutable_nonce_stored()->set_nonce(outcome->replies.front().hello().sync_nonce());
      EXPECT_TRUE(session.on_message(stored));
    }
    return *outcome;
  }
  static std::string nonce_of(const DeviceSession::Outcome& outcome) {
    return outcome.replies.empty() ? "" : outcome.replies.front().hello().sync_nonce();
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  FakeRandom random_{3};
  std::unique_ptr<Store> store_ =
      std::move(*Store::open("sqlite3", (dir_.path() / "controller.db").string()));
};

TEST_F(CopySession, AForkIsToldAndRemembered) {
  const std::string first = nonce_of(greet("", 5, false));
  ASSERT_EQ(first.size(), 16U);
  const auto second = greet(first, 5, false);
  EXPECT_TRUE(second.clone_finding.empty());
  const auto copy = greet(first, 5, false);
  EXPECT_NE(copy.clone_finding.find("fork"), std::string::npos);
  EXPECT_TRUE(copy.greeted);
  EXPECT_FALSE(copy.refusal);
  const auto life = store_->life("dev-1");
  ASSERT_TRUE(life);
  EXPECT_EQ(life->clone_count, 1);
  EXPECT_EQ(word(*life), "active");
}

TEST_F(CopySession, ByPolicyBothCopiesAreRefusedUntilSomebodyDecides) {
  const std::string first = nonce_of(greet("", 5, true));
  greet(first, 5, true);
  const auto copy = greet(first, 5, true);
  ASSERT_TRUE(copy.refusal);
  EXPECT_EQ(copy.refusal->code(), Error::Code::kPermissionDenied);
  EXPECT_FALSE(copy.greeted);
  EXPECT_EQ(word(*store_->life("dev-1")), "quarantined");
  EXPECT_TRUE((**store_->find_device("dev-1")).revoked);
  ASSERT_TRUE(store_->change_life("dev-1", [](DeviceLifeRecord& life) { return reinstate(life); }));
  EXPECT_FALSE((**store_->find_device("dev-1")).revoked);
  EXPECT_TRUE(greet(first, 5, true).greeted);
}

TEST_F(CopySession, AnOlderCertificateThanTheOneInUseIsAnOldCopy) {
  const std::string first = nonce_of(greet("", 5, false));
  const std::string second = nonce_of(greet(first, 9, false));
  const auto old = greet(second, 5, false);
  EXPECT_NE(old.clone_finding.find("replaced by a newer one"), std::string::npos);
}

TEST_F(CopySession, ARestoredStoreTakesTheNextNonceAsItComes) {
  const std::string first = nonce_of(greet("", 5, true));
  greet(first, 5, true);
  ASSERT_TRUE(store_->reset_nonces());
  EXPECT_TRUE(greet("whatever-it-was", 4, true).clone_finding.empty());
}

TEST_F(CopySession, AReceiptEndsTheDeviceHere) {
  ASSERT_TRUE(store_->change_life("dev-1", [](DeviceLifeRecord& life) {
    return order_decommission(life, "ann", "sold", "o-1", 7);
  }));
  EXPECT_FALSE((**store_->find_device("dev-1")).revoked);
  DeviceSession session{*store_, clock_, Log{}, "dev-1", "default", false, {}};
  pb::DeviceMessage hello;
  hello.mutable_hello()->set_protocol_version(1);
  ASSERT_TRUE(session.on_message(hello));
  pb::DeviceMessage receipt;
  receipt.mutable_decommission()->set_order_id("another");
  EXPECT_FALSE(session.on_message(receipt));
  receipt.mutable_decommission()->set_order_id("o-1");
  const auto outcome = session.on_message(receipt);
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->decommissioned);
  EXPECT_EQ(word(*store_->life("dev-1")), "decommissioned");
  EXPECT_TRUE((**store_->find_device("dev-1")).revoked);
}

TEST(DecommissionOrder, IsBelievedByTheSignatureOfATrustedAuthorityAlone) {
  const test::TempDir dir;
  SystemFileSystem fs;
  FakeClock clock{*parse_rfc3339("2026-11-22T12:00:00Z")};
  ASSERT_TRUE(fs.create_directories(dir.path() / "certificates", 0700));
  ASSERT_TRUE(fs.create_directories(dir.path() / "keys", 0700));
  Config config;
  config.state_directory = dir.path();
  const auto authorities =
      std::move(*Authorities::open(fs, clock, *Settings::finalize(std::move(config))));
  const auto before = *security::TrustAnchors::from_pem(authorities->bundle_pem());
  ASSERT_TRUE(authorities->rotate(clock.wall_now()));
  const auto both = *security::TrustAnchors::from_pem(authorities->bundle_pem());
  DeviceLifeRecord life;
  life.device_id = "dev-1";
  life.order_id = "o-1";
  life.ordered_ms = 1'700'000'000'000;
  life.revoke_reason = "sold";
  const auto message = decommission_message(*authorities, life);
  ASSERT_TRUE(message) << message.error().to_string();
  const auto& sent = message->decommission();
  const auto verdict = [&](const security::TrustAnchors& anchors,
                           const security::DecommissionOrder& order) {
    std::vector<Bytes> signatures;
    for (const auto& one : sent.signatures()) {
      const ByteView bytes = as_bytes(one);
      signatures.emplace_back(bytes.begin(), bytes.end());
    }
    return static_cast<bool>(security::verify_decommission(order, signatures, anchors));
  };
  const security::DecommissionOrder order{sent.device_id(),
                                          sent.order_id(),
                                          static_cast<std::int64_t>(sent.issued_unix_ms()),
                                          sent.reason()};
  // During the overlap every device knows one of the two.
  EXPECT_TRUE(verdict(before, order));
  EXPECT_TRUE(verdict(both, order));
  auto other = order;
  other.device_id = "dev-2";
  EXPECT_FALSE(verdict(both, other));
  other = order;
  other.reason = "sold\nagain";
  EXPECT_FALSE(verdict(both, other));
  other = order;
  other.issued_ms += 1;
  EXPECT_FALSE(verdict(both, other));
  const test::TempDir elsewhere;
  ASSERT_TRUE(fs.create_directories(elsewhere.path() / "certificates", 0700));
  ASSERT_TRUE(fs.create_directories(elsewhere.path() / "keys", 0700));
  Config foreign;
  foreign.state_directory = elsewhere.path();
  const auto stranger =
      std::move(*Authorities::open(fs, clock, *Settings::finalize(std::move(foreign))));
  EXPECT_FALSE(verdict(*security::TrustAnchors::from_pem(stranger->bundle_pem()), order));
}

}  // namespace
}  // namespace skerry::controller
