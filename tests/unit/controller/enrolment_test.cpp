#include "skerry/controller/enrolment.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

using namespace std::chrono_literals;
using security::KeyAlgorithm;

class EnrolmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*Store::open("sqlite3", (dir_.path() / "controller.db").string()));
    Config config;
    config.state_directory = dir_.path();
    ASSERT_TRUE(fs_.create_directories(dir_.path() / "certificates", 0700));
    ASSERT_TRUE(fs_.create_directories(dir_.path() / "keys", 0700));
    authorities_ =
        std::move(*Authorities::open(fs_, clock_, *Settings::finalize(std::move(config))));
    enrolment_ = std::make_unique<Enrolment>(
        *store_, *authorities_, clock_, random_, IdentityConfig{}, EnrolmentConfig{});
    device_key_ = std::move(*security::make_memory_signer(KeyAlgorithm::kEcdsaP256));
  }

  std::string token(std::chrono::seconds ttl = 0s) {
    TokenRequest request;
    request.tenant_id = "default";
    request.site_id = "hall-3";
    request.note = "gateway of hall 3";
    request.created_by = "spiffe://skerry.local/operator/admin";
    request.ttl = ttl;
    const auto issued = enrolment_->create_token(request);
    EXPECT_TRUE(issued) << issued.error().to_string();
    return issued->token;
  }

  static std::string der(const security::Signer& key) {
    security::CertificateNames names;
    names.common_name = "i-would-like-to-be-admin";
    names.spiffe_id = "spiffe://skerry.local/operator/admin";
    const auto pem = security::make_certificate_request(key, names);
    EXPECT_TRUE(pem) << pem.error().to_string();
    std::string body;
    std::size_t at = pem->find('\n') + 1;
    for (char c : pem->substr(at, pem->find("-----END") - at)) {
      if (c != '\n') {
        body += c;
      }
    }
    return std::string{as_text(*from_base64(body))};
  }

  Error refusal(std::string_view secret) {
    const auto enrolled = enrolment_->enroll(secret, der(*device_key_), "");
    EXPECT_FALSE(enrolled);
    return enrolled ? Error{Error::Code::kInternal, "accepted"} : enrolled.error();
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{1'700'000'000'000ms}};
  FakeRandom random_{7};
  std::unique_ptr<Store> store_;
  SystemFileSystem fs_;
  std::unique_ptr<Authorities> authorities_;
  std::unique_ptr<Enrolment> enrolment_;
  std::unique_ptr<security::Signer> device_key_;
};

TEST_F(EnrolmentTest, GivesADeviceCertificateWhoseNameTheControllerChose) {
  const auto enrolled = enrolment_->enroll(token(), der(*device_key_), "info");
  ASSERT_TRUE(enrolled) << enrolled.error().to_string();
  EXPECT_EQ(enrolled->device_id, Enrolment::device_id_of(device_key_->public_key()));
  EXPECT_EQ(enrolled->site_id, "hall-3");
  const auto certificate = security::Certificate::from_pem(enrolled->certificate_chain_pem);
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->identity()->to_string(),
            "spiffe://skerry.local/device/" + enrolled->device_id);
  EXPECT_TRUE(certificate->public_key() == device_key_->public_key());
  EXPECT_TRUE(certificate->verify(*security::Certificate::from_pem(enrolled->trust_bundle_pem),
                                  clock_.wall_now()));
  EXPECT_NEAR(static_cast<double>(std::chrono::duration_cast<std::chrono::hours>(
                                      certificate->not_after() - clock_.wall_now())
                                      .count()),
              400.0 * 24,
              1.0);
  EXPECT_FALSE(certificate->is_ca());
  const auto device = store_->find_device(enrolled->device_id);
  ASSERT_TRUE(device && *device);
  EXPECT_EQ((**device).note, "gateway of hall 3");
}

TEST_F(EnrolmentTest, ATokenIsGoodForOneDevice) {
  const auto secret = token();
  ASSERT_TRUE(enrolment_->enroll(secret, der(*device_key_), ""));
  const auto error = refusal(secret);
  EXPECT_EQ(error.code(), Error::Code::kEnrolmentRefused);
  EXPECT_NE(error.message().find("already used"), std::string::npos);
}

TEST_F(EnrolmentTest, ATokenExpires) {
  const auto secret = token(60s);
  clock_.advance(59s);
  ASSERT_TRUE(enrolment_->enroll(secret, der(*device_key_), ""));
  const auto late = token(60s);
  clock_.advance(60s);
  EXPECT_NE(refusal(late).message().find("expired 0 s ago"), std::string::npos);
}

TEST_F(EnrolmentTest, AWrongSecretSaysNothingAboutTheToken) {
  auto wrong = token();
  const auto unknown_id = "skt_0000000000000000_" + wrong.substr(21);
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  EXPECT_EQ(refusal(wrong), refusal(unknown_id));
  EXPECT_EQ(refusal(wrong).message().find("used"), std::string::npos);
}

TEST_F(EnrolmentTest, MalformedTokensAreRefused) {
  for (const std::string& text : std::vector<std::string>{
           "", "skt_", "x", std::string(10'000, 'a'), "skt_" + std::string(81, '_')}) {
    EXPECT_EQ(refusal(text).code(), Error::Code::kEnrolmentRefused) << text.size();
  }
}

TEST_F(EnrolmentTest, ARequestThatDoesNotProveItsKeyKeepsTheTokenUsable) {
  const auto secret = token();
  auto broken = der(*device_key_);
  broken.back() = static_cast<char>(broken.back() ^ 1);
  EXPECT_FALSE(enrolment_->enroll(secret, broken, ""));
  EXPECT_FALSE(enrolment_->enroll(secret, "not DER at all", ""));
  EXPECT_FALSE(enrolment_->enroll(secret, std::string(20'000, 'x'), ""));
  EXPECT_TRUE(enrolment_->enroll(secret, der(*device_key_), ""));
}

class RenewalTest : public EnrolmentTest {
 protected:
  void SetUp() override {
    EnrolmentTest::SetUp();
    const auto enrolled = enrolment_->enroll(token(), der(*device_key_), "");
    ASSERT_TRUE(enrolled) << enrolled.error().to_string();
    id_ = enrolled->device_id;
    first_ = security::Certificate::from_pem(enrolled->certificate_chain_pem)->not_before();
  }
  Error refused_renewal(WallTime issued) {
    const auto renewed = enrolment_->renew(id_, issued, der(*next_key_));
    EXPECT_FALSE(renewed);
    return renewed ? Error{Error::Code::kInternal, "accepted"} : renewed.error();
  }
  void seen_with(WallTime issued) {
    ASSERT_TRUE(store_->change_life(id_, [&](DeviceLifeRecord& life) {
      life.confirmed_ms = issued.time_since_epoch().count();
      return Result<void>{};
    }));
  }

  std::string id_;
  WallTime first_{};
  std::unique_ptr<security::Signer> next_key_ =
      std::move(*security::make_memory_signer(KeyAlgorithm::kEcdsaP256));
};

TEST_F(RenewalTest, GivesTheSameDeviceACertificateForItsNextKey) {
  clock_.advance(24h * 200);
  const auto renewed = enrolment_->renew(id_, first_, der(*next_key_));
  ASSERT_TRUE(renewed) << renewed.error().to_string();
  EXPECT_EQ(renewed->device_id, id_);
  const auto certificate = security::Certificate::from_pem(renewed->certificate_chain_pem);
  ASSERT_TRUE(certificate);
  EXPECT_EQ(certificate->identity()->name, id_);
  EXPECT_TRUE(certificate->public_key() == next_key_->public_key());
  EXPECT_EQ((**store_->find_device(id_)).certificate_fingerprint, certificate->fingerprint().hex());
  // Its new key is the device's now: enrolling with it again is still the same device.
  const auto again = enrolment_->enroll(token(), der(*next_key_), "");
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->device_id, id_);
}

TEST_F(RenewalTest, MayBeRepeatedUntilTheNewCertificateWasSeen) {
  clock_.advance(24h * 200);
  const auto renewed = enrolment_->renew(id_, first_, der(*next_key_));
  ASSERT_TRUE(renewed);
  // The answer was lost.
  ASSERT_TRUE(enrolment_->renew(id_, first_, der(*next_key_)));
  const auto second = security::Certificate::from_pem(renewed->certificate_chain_pem)->not_before();
  seen_with(second);
  EXPECT_EQ(refused_renewal(first_).code(), Error::Code::kPermissionDenied);
  EXPECT_TRUE(enrolment_->renew(id_, second, der(*next_key_)));
}

TEST_F(RenewalTest, AShorterConfiguredLifeDoesNotMakeTheNextOneOlder) {
  seen_with(first_ + 10min);
  const auto renewed = enrolment_->renew(id_, first_ + 10min, der(*next_key_));
  ASSERT_TRUE(renewed);
  const auto begins = security::Certificate::from_pem(renewed->certificate_chain_pem)->not_before();
  EXPECT_LT(begins, first_ + 10min);
  EXPECT_TRUE(enrolment_->renew(id_, begins, der(*next_key_)));
}

TEST_F(RenewalTest, IsRefusedForRevokedUnknownAndUnprovenOnes) {
  EXPECT_FALSE(enrolment_->renew(id_, first_, "not DER"));
  EXPECT_FALSE(enrolment_->renew(id_, first_, std::string(20'000, 'x')));
  EXPECT_EQ(enrolment_->renew("dev-x", first_, der(*next_key_)).error().code(),
            Error::Code::kNotEnrolled);
  // The key of another device.
  const auto other = security::make_memory_signer(KeyAlgorithm::kEcdsaP256);
  ASSERT_TRUE(enrolment_->enroll(token(), der(**other), ""));
  EXPECT_FALSE(enrolment_->renew(id_, first_, der(**other)));
  ASSERT_TRUE(store_->change_life(id_, [](DeviceLifeRecord& life) {
    life.revoked_ms = 1;
    return Result<void>{};
  }));
  EXPECT_EQ(refused_renewal(first_).code(), Error::Code::kPermissionDenied);
  // A token does not bring it back either.
  EXPECT_NE(refusal(token()).message().find("was revoked"), std::string::npos);
}

TEST_F(EnrolmentTest, TheSecretIsNotInTheStore) {
  const auto secret = token();
  const auto found = store_->find_token(secret.substr(4, 16));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((**found).secret_hash, Digest::of(secret.substr(21)).hex());
  EXPECT_EQ((**found).secret_hash.find(secret.substr(21)), std::string::npos);
}

TEST_F(EnrolmentTest, LimitsOnWhatAnOperatorAsksForAreEnforced) {
  TokenRequest request;
  request.tenant_id = "default";
  request.ttl = 31 * 24h;
  EXPECT_EQ(enrolment_->create_token(request).error().code(), Error::Code::kInvalidArgument);
  request.ttl = -1s;
  EXPECT_FALSE(enrolment_->create_token(request));
  request.ttl = 0s;
  request.site_id = "Hall 3";
  EXPECT_FALSE(enrolment_->create_token(request));
  request.site_id.clear();
  request.note = std::string(257, 'x');
  EXPECT_FALSE(enrolment_->create_token(request));
}

}  // namespace
}  // namespace skerry::controller
