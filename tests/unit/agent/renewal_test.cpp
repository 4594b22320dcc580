// Renewal without a network: when, with which key, and what of the controller's answer is believed.

#include "sync/renewal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fault_file_system.hpp"
#include "sync/server_trust.hpp"
#include "temp_dir.hpp"

namespace skerry::agent::sync {
namespace {

using security::CertificateAuthority;
using security::KeyAlgorithm;
using std::chrono::hours;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WallTime kEnrolled = *parse_rfc3339("2026-11-22T12:00:00Z");

CertificateAuthority make_root(const std::string& name) {
  return *CertificateAuthority::create(
      std::move(*security::make_memory_signer(KeyAlgorithm::kEcdsaP256)),
      name,
      kEnrolled,
      hours{24 * 3650});
}

security::Certificate device_leaf(const CertificateAuthority& root,
                                  const security::PublicKey& key,
                                  const std::string& id = "gw-17",
                                  WallTime from = kEnrolled,
                                  std::chrono::seconds life = hours{24 * 400}) {
  security::CertificateGrant grant;
  grant.names.common_name = id;
  grant.names.spiffe_id = "spiffe://skerry.local/device/" + id;
  grant.not_before = from;
  grant.lifetime = life;
  return *root.issue(key, grant);
}

TEST(Renewal, IsDueBetweenHalfAndSixTenthsOfALife) {
  const CertificateAuthority root = make_root("fleet");
  WallTime earliest = WallTime::max();
  WallTime latest = WallTime::min();
  for (int i = 0; i < 40; ++i) {
    const auto key = security::make_memory_signer(KeyAlgorithm::kEcdsaP256);
    const security::Certificate leaf = device_leaf(root, (*key)->public_key());
    const auto life = leaf.not_after() - leaf.not_before();
    const WallTime due = renewal_time(leaf);
    EXPECT_GE(due, leaf.not_before() + life / 2);
    EXPECT_LE(due, leaf.not_before() + life / 10 * 6);
    // The same after every restart.
    EXPECT_EQ(renewal_time(*security::Certificate::from_pem(leaf.pem())), due);
    earliest = std::min(earliest, due);
    latest = std::max(latest, due);
    EXPECT_EQ(until_renewal(leaf, due), std::chrono::milliseconds{0});
    EXPECT_EQ(until_renewal(leaf, due + hours{1}), std::chrono::milliseconds{0});
    EXPECT_EQ(until_renewal(leaf, due - hours{1}), hours{1});
  }
  // Forty gateways that enrolled in one second are spread over days.
  EXPECT_GT(latest - earliest, hours{24 * 10});
}

TEST(Renewal, KeysAreNumbered) {
  EXPECT_EQ(next_key_file("device.pem"), "device-2.pem");
  EXPECT_EQ(next_key_file("device-2.pem"), "device-3.pem");
  EXPECT_EQ(next_key_file("device-41.pem"), "device-42.pem");
}

TEST(Renewal, FormerKeysGoAndNothingElse) {
  const test::TempDir dir;
  SystemFileSystem fs;
  for (const char* name : {"audit.pem",
                           "device.pem",
                           "device-2.pem",
                           "device-3.pem",
                           "device-x.pem",
                           "device-.pem",
                           "devices.pem",
                           "device-2.pem.bak"}) {
    ASSERT_TRUE(write_file_atomic(fs, dir.path() / name, "x", 0600));
  }
  ASSERT_TRUE(forget_former_keys(fs, dir.path(), "device-2.pem"));
  EXPECT_THAT(*fs.list(dir.path()),
              ElementsAre("audit.pem",
                          "device-.pem",
                          "device-2.pem",
                          "device-2.pem.bak",
                          "device-3.pem",
                          "device-x.pem",
                          "devices.pem"));
}

class RenewalAnswer : public ::testing::Test {
 protected:
  void SetUp() override {
    present_.device_id = "gw-17";
    present_.certificate_chain_pem = device_leaf(root_, key_->public_key()).pem();
    present_.trust_bundle_pem = root_.certificate().pem();
    next_ = std::move(*security::make_memory_signer(KeyAlgorithm::kEcdsaP256));
    answer_.set_certificate_chain_pem(device_leaf(root_, next_->public_key()).pem());
    answer_.mutable_trust()->set_anchors_pem(root_.certificate().pem());
  }
  Result<DeviceIdentity> judged() {
    return renewed_identity(present_, next_->public_key().spki_digest(), answer_);
  }
  std::string refusal() {
    const auto result = judged();
    return result ? "accepted" : result.error().message();
  }

  const CertificateAuthority root_ = make_root("fleet 1");
  std::unique_ptr<security::Signer> key_ =
      std::move(*security::make_memory_signer(KeyAlgorithm::kEcdsaP256));
  std::unique_ptr<security::Signer> next_;
  DeviceIdentity present_;
  fleet::v1::RenewResponse answer_;
};

TEST_F(RenewalAnswer, IsTakenForTheNextKey) {
  const auto identity = judged();
  ASSERT_TRUE(identity) << identity.error().to_string();
  EXPECT_EQ(identity->certificate_chain_pem, answer_.certificate_chain_pem());
  EXPECT_EQ(identity->device_id, "gw-17");
}

TEST_F(RenewalAnswer, IsRefusedForAnotherKeyDeviceOrAuthority) {
  answer_.set_certificate_chain_pem(device_leaf(root_, key_->public_key()).pem());
  EXPECT_THAT(refusal(), HasSubstr("another key"));
  answer_.set_certificate_chain_pem(device_leaf(root_, next_->public_key(), "gw-18").pem());
  EXPECT_THAT(refusal(), HasSubstr("not for spiffe://skerry.local/device/gw-17"));
  const CertificateAuthority stranger = make_root("fleet 2");
  answer_.set_certificate_chain_pem(device_leaf(stranger, next_->public_key()).pem());
  EXPECT_THAT(refusal(), HasSubstr("none of the trusted authorities"));
  answer_.mutable_trust()->set_anchors_pem(stranger.certificate().pem());
  EXPECT_THAT(refusal(), HasSubstr("vouched for by none"));
  answer_.set_certificate_chain_pem("");
  EXPECT_FALSE(judged());
}

TEST_F(RenewalAnswer, BringsTheNextAuthorityAlong) {
  const CertificateAuthority second = make_root("fleet 2");
  answer_.set_certificate_chain_pem(device_leaf(second, next_->public_key()).pem());
  answer_.mutable_trust()->set_anchors_pem(second.certificate().pem());
  answer_.mutable_trust()->set_cross_certificates_pem(
      root_.cross_sign(second.certificate(), kEnrolled)->pem());
  const auto identity = judged();
  ASSERT_TRUE(identity) << identity.error().to_string();
  EXPECT_EQ(identity->trust_bundle_pem, second.certificate().pem());
}

// The commit of a renewal, cut at every file operation: what the next start finds is the old
// identity or the new one, each with its key.
TEST_F(RenewalAnswer, EveryCutOfTheCommitLeavesAWorkingIdentity) {
  const test::TempDir dir;
  SystemFileSystem real;
  const auto keys = dir.path() / "keys";
  ASSERT_TRUE(real.create_directories(keys, 0700));
  const auto make_key = [&](const std::string& file) {
    const auto uri = security::KeyUri::parse("file:" + (keys / file).string());
    return std::move(*security::open_or_create_key(real, *uri, KeyAlgorithm::kEcdsaP256));
  };
  const auto first = make_key("device.pem");
  const auto second = make_key("device-2.pem");
  DeviceIdentity before;
  before.device_id = "gw-17";
  before.certificate_chain_pem = device_leaf(root_, first->public_key()).pem();
  before.trust_bundle_pem = root_.certificate().pem();
  DeviceIdentity after = before;
  after.certificate_chain_pem = device_leaf(root_, second->public_key()).pem();
  after.key_file = "device-2.pem";
  const auto file = dir.path() / "identity.json";
  int olds = 0;
  int news = 0;
  for (const test::Loss loss : {test::Loss::kUnsynced, test::Loss::kTorn, test::Loss::kNothing}) {
    for (std::uint64_t k = 0;; ++k) {
      ASSERT_TRUE(store_identity(real, file, before, first->public_key().spki_digest()));
      test::FaultFileSystem faulty{dir.path()};
      faulty.fail_at(k, test::Fault::kPowerCut);
      const bool done = static_cast<bool>(
          store_identity(faulty, file, after, second->public_key().spki_digest()));
      faulty.restart(loss);
      const auto found = load_credentials(real, dir.path());
      ASSERT_TRUE(found) << "cut at " << k << ": " << found.error().to_string();
      ASSERT_TRUE(found->identity);
      (found->identity->key_file == "device.pem" ? olds : news) += 1;
      if (done) {
        EXPECT_EQ(found->identity->key_file, "device-2.pem");
        break;
      }
    }
  }
  EXPECT_GT(olds, 0);
  EXPECT_GT(news, 0);
}

TEST(Credentials, AKeyThatIsNotTheCertificatesIsNamed) {
  const test::TempDir dir;
  SystemFileSystem fs;
  ASSERT_TRUE(fs.create_directories(dir.path() / "keys", 0700));
  const auto first = load_credentials(fs, dir.path());
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_FALSE(first->identity);
  const CertificateAuthority root = make_root("fleet");
  DeviceIdentity identity;
  identity.device_id = "gw-17";
  identity.certificate_chain_pem = device_leaf(root, first->key->public_key()).pem();
  identity.trust_bundle_pem = root.certificate().pem();
  const auto file = dir.path() / "identity.json";
  ASSERT_TRUE(store_identity(fs, file, identity, first->key->public_key().spki_digest()));
  ASSERT_TRUE(load_credentials(fs, dir.path()));
  ASSERT_TRUE(fs.remove(dir.path() / "keys" / "device.pem"));
  const auto lost = load_credentials(fs, dir.path());
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), Error::Code::kKeyInvalid);
  // No key is made in its place: that would not be this device.
  EXPECT_FALSE(fs.exists(dir.path() / "keys" / "device.pem"));
}

TEST(ServerTrust, AWrongClockDoesNotLockTheDeviceOutAndAVouchedOneDecides) {
  const CertificateAuthority root = make_root("fleet");
  const auto key = security::make_memory_signer(KeyAlgorithm::kEcdsaP256);
  const auto server = [&](const std::string& id) {
    security::CertificateGrant grant;
    grant.names.common_name = "skerry-controller";
    grant.names.spiffe_id = id;
    grant.server = true;
    grant.not_before = kEnrolled;
    return root.issue((*key)->public_key(), grant)->pem();
  };
  const std::string controller = server("spiffe://skerry.local/controller/controller");
  // The battery is flat: 1970, floored to the day this program was built.
  FakeClock clock{WallTime{}};
  DeviceTime time{clock, WallTime{}, [] { return false; }};
  ServerTrust trust{
      *security::TrustAnchors::from_pem(root.certificate().pem()), "skerry.local", time};
  EXPECT_TRUE(trust.verify(controller));
  // A device or another fleet's controller is no controller of ours.
  EXPECT_FALSE(trust.verify(server("spiffe://skerry.local/device/gw-18")));
  EXPECT_FALSE(trust.verify(server("spiffe://other.local/controller/controller")));
  EXPECT_FALSE(trust.verify(make_root("stranger").certificate().pem()));
  EXPECT_FALSE(trust.verify(""));
  // Years later by the word of the controller itself: now the end counts.
  time.vouch(kEnrolled + hours{24 * 500});
  const auto ended = trust.verify(controller);
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message(), HasSubstr("is valid from"));
  trust.close();
  EXPECT_FALSE(trust.verify(controller));
}

}  // namespace
}  // namespace skerry::agent::sync
