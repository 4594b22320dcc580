#include "skerry/security/certificate.hpp"

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

using namespace std::chrono_literals;

const WallTime kNow = *parse_rfc3339("2026-11-22T12:00:00Z");

class CertificateTest : public ::testing::Test {
 protected:
  static std::shared_ptr<const Signer> key(KeyAlgorithm algorithm = KeyAlgorithm::kEcdsaP256) {
    return std::move(*make_memory_signer(algorithm));
  }
  static CertificateAuthority authority() {
    return *CertificateAuthority::create(key(), "Skerry fleet", kNow, 24h * 3650);
  }
  static CertificateGrant device_grant() {
    CertificateGrant grant;
    grant.names.common_name = "gw-17";
    grant.names.spiffe_id = "spiffe://fleet.example/device/gw-17";
    grant.not_before = kNow;
    return grant;
  }
};

TEST(SpiffeId, ParsesTheThreeKinds) {
  for (const char* text : {"spiffe://fleet.example/device/gw-17",
                           "spiffe://fleet.example/operator/ann",
                           "spiffe://fleet.example/controller/main"}) {
    const auto id = SpiffeId::parse(text);
    ASSERT_TRUE(id) << text;
    EXPECT_EQ(id->to_string(), text);
  }
}

TEST(SpiffeId, RefusesOtherUris) {
  for (const char* text : {"",
                           "http://fleet.example/device/x",
                           "spiffe://",
                           "spiffe:///device/x",
                           "spiffe://Fleet/device/x",
                           "spiffe://f/robot/x",
                           "spiffe://f/device",
                           "spiffe://f/device/",
                           "spiffe://f/device/a/b",
                           "spiffe://f/device/..",
                           "spiffe://f/device/a b",
                           "spiffe://f:1/device/a"}) {
    EXPECT_FALSE(SpiffeId::parse(text)) << text;
  }
  EXPECT_FALSE(SpiffeId::parse("spiffe://f/device/" + std::string(300, 'a')));
}

TEST_F(CertificateTest, EnrolsADeviceByItsRequest) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::kEd25519, KeyAlgorithm::kEcdsaP256}) {
    const auto device = key(algorithm);
    CertificateNames names;
    names.common_name = "gw-17";
    names.spiffe_id = "spiffe://fleet.example/device/gw-17";
    const auto pem = make_certificate_request(*device, names);
    ASSERT_TRUE(pem) << pem.error().to_string();
    const auto request = CertificateRequest::from_pem(*pem);
    ASSERT_TRUE(request) << request.error().to_string();
    EXPECT_EQ(request->public_key(), device->public_key());
    EXPECT_EQ(request->names().common_name, "gw-17");
    EXPECT_EQ(request->names().spiffe_id, names.spiffe_id);

    const CertificateAuthority ca = authority();
    const auto certificate = ca.issue(request->public_key(), device_grant());
    ASSERT_TRUE(certificate) << certificate.error().to_string();
    EXPECT_TRUE(certificate->verify(ca.certificate(), kNow));
    EXPECT_EQ(certificate->identity()->to_string(), names.spiffe_id);
    EXPECT_EQ(certificate->spki_digest(), device->public_key().spki_digest());
    EXPECT_FALSE(certificate->is_ca());
    EXPECT_FALSE(certificate->serial_hex().empty());
    const auto again = Certificate::from_pem(certificate->pem());
    EXPECT_EQ(again->fingerprint(), certificate->fingerprint());
  }
}

TEST_F(CertificateTest, GivesServersTheirNames) {
  CertificateGrant grant;
  grant.names.common_name = "controller";
  grant.names.spiffe_id = "spiffe://fleet.example/controller/main";
  grant.names.dns_names = {"localhost", "controller.example"};
  grant.names.ip_addresses = {"127.0.0.1", "::1"};
  grant.server = true;
  grant.not_before = kNow;
  const auto certificate = authority().issue(key()->public_key(), grant);
  ASSERT_TRUE(certificate) << certificate.error().to_string();
  EXPECT_EQ(certificate->dns_names(), grant.names.dns_names);
  EXPECT_EQ(certificate->ip_addresses(), grant.names.ip_addresses);
}

TEST_F(CertificateTest, RefusesNamesThatAreNone) {
  const CertificateAuthority ca = authority();
  const auto refused = [&](auto change) {
    CertificateGrant grant = device_grant();
    change(grant.names);
    const auto certificate = ca.issue(key()->public_key(), grant);
    return !certificate && certificate.error().code() == Error::Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](CertificateNames& names) { names.common_name.clear(); }));
  EXPECT_TRUE(refused([](CertificateNames& names) { names.common_name = std::string(65, 'x'); }));
  EXPECT_TRUE(refused([](CertificateNames& names) { names.spiffe_id = "spiffe://x"; }));
  EXPECT_TRUE(refused([](CertificateNames& names) { names.dns_names = {"a,DNS:evil"}; }));
  EXPECT_TRUE(refused([](CertificateNames& names) { names.ip_addresses = {"256.1.1.1"}; }));
}

TEST_F(CertificateTest, RefusesAnotherAuthoritysCertificate) {
  const CertificateAuthority ours = authority();
  const CertificateAuthority theirs = authority();
  const auto certificate = theirs.issue(key()->public_key(), device_grant());
  const auto verified = certificate->verify(ours.certificate(), kNow);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code(), Error::Code::kCertificateInvalid);
  // A device certificate is no authority.
  EXPECT_FALSE(certificate->verify(*certificate, kNow));
}

TEST_F(CertificateTest, RefusesOutsideItsValidity) {
  const CertificateAuthority ca = authority();
  const auto certificate = ca.issue(key()->public_key(), device_grant());
  EXPECT_TRUE(certificate->verify(ca.certificate(), kNow + 24h * 399));
  EXPECT_FALSE(certificate->verify(ca.certificate(), kNow + 24h * 401));
  EXPECT_FALSE(certificate->verify(ca.certificate(), kNow - 1h));
  EXPECT_TRUE(certificate->verify_signature(ca.certificate()));
}

TEST_F(CertificateTest, IsRenewedAtHalfItsLife) {
  const auto certificate = authority().issue(key()->public_key(), device_grant());
  EXPECT_FALSE(certificate->renewal_due(kNow + 24h * 199));
  EXPECT_TRUE(certificate->renewal_due(kNow + 24h * 201));
}

TEST_F(CertificateTest, NeverOutlivesItsAuthority) {
  const auto ca = CertificateAuthority::create(key(), "short", kNow, 24h);
  const auto certificate = ca->issue(key()->public_key(), device_grant());
  EXPECT_EQ(certificate->not_after(), ca->certificate().not_after());
}

TEST_F(CertificateTest, AnAuthorityLoadsOnlyItsOwnCertificate) {
  const auto ca_key = key();
  const auto ca = CertificateAuthority::create(ca_key, "fleet", kNow, 24h * 10);
  EXPECT_TRUE(CertificateAuthority::load(ca_key, ca->certificate().pem()));
  EXPECT_FALSE(CertificateAuthority::load(key(), ca->certificate().pem()));
}

TEST_F(CertificateTest, RefusesARequestThatItsKeyDidNotSign) {
  CertificateNames names;
  names.common_name = "gw-17";
  std::string pem = *make_certificate_request(*key(), names);
  EXPECT_FALSE(CertificateRequest::from_pem("garbage"));
  // The last base64 characters hold the signature.
  const std::size_t end = pem.find("\n-----END");
  pem[end - 8] = pem[end - 8] == 'A' ? 'B' : 'A';
  const auto request = CertificateRequest::from_pem(pem);
  ASSERT_FALSE(request);
  EXPECT_EQ(request.error().code(), Error::Code::kCertificateInvalid);
}

TEST_F(CertificateTest, RefusesGarbage) {
  EXPECT_FALSE(Certificate::from_pem(""));
  EXPECT_FALSE(Certificate::from_pem(std::string(70000, 'A')));
  EXPECT_FALSE(Certificate::from_der(Bytes{1, 2, 3}));
}

}  // namespace
}  // namespace skerry::security
