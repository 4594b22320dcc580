#include "skerry/security/trust_anchors.hpp"

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

using namespace std::chrono_literals;

class TrustAnchorsTest : public ::testing::Test {
 protected:
  static constexpr auto kDay = std::chrono::hours{24};

  static CertificateAuthority authority(const std::string& name, WallTime from) {
    return *CertificateAuthority::create(
        std::move(*make_memory_signer(KeyAlgorithm::kEcdsaP256)), name, from, kDay * 3650);
  }
  static Certificate leaf(const CertificateAuthority& by, WallTime from) {
    CertificateGrant grant;
    grant.names.common_name = "gw-17";
    grant.names.spiffe_id = "spiffe://fleet.example/device/gw-17";
    grant.not_before = from;
    const auto key = make_memory_signer(KeyAlgorithm::kEcdsaP256);
    return *by.issue((*key)->public_key(), grant);
  }
  static TrustAnchors trusting(const CertificateAuthority& one) {
    return *TrustAnchors::from_pem(one.certificate().pem());
  }

  const WallTime now_ = *parse_rfc3339("2026-11-22T12:00:00Z");
  const TrustedTime attested_{now_, TimeQuality::kAttested};
  const CertificateAuthority first_ = authority("fleet 1", now_);
  const CertificateAuthority second_ = authority("fleet 2", now_);
  const CertificateAuthority third_ = authority("fleet 3", now_);
  const Certificate second_by_first_ = *first_.cross_sign(second_.certificate(), now_);
  const Certificate third_by_second_ = *second_.cross_sign(third_.certificate(), now_);
};

TEST_F(TrustAnchorsTest, AcceptsTheirOwnAndNobodyElses) {
  EXPECT_TRUE(trusting(first_).verify({leaf(first_, now_)}, attested_));
  const auto foreign = trusting(first_).verify({leaf(second_, now_)}, attested_);
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message().find("none of the trusted authorities 'fleet 1'"),
            std::string::npos);
  EXPECT_FALSE(trusting(first_).verify({}, attested_));
}

TEST_F(TrustAnchorsTest, FollowsOneCrossCertificateAndTwo) {
  EXPECT_TRUE(trusting(first_).verify({leaf(second_, now_), second_by_first_}, attested_));
  // A device that slept through two rotations.
  EXPECT_TRUE(
      trusting(first_).verify({leaf(third_, now_), third_by_second_, second_by_first_}, attested_));
  EXPECT_TRUE(
      trusting(first_).verify({leaf(third_, now_), second_by_first_, third_by_second_}, attested_));
  EXPECT_FALSE(trusting(first_).verify({leaf(third_, now_), third_by_second_}, attested_));
  // The self-signed certificate of the new authority is no evidence for it.
  EXPECT_FALSE(trusting(first_).verify({leaf(second_, now_), second_.certificate()}, attested_));
}

TEST_F(TrustAnchorsTest, ADeviceCertificateVouchesForNobody) {
  const auto device_key = make_memory_signer(KeyAlgorithm::kEcdsaP256);
  const Certificate device = leaf(first_, now_);
  EXPECT_FALSE(trusting(first_).verify({leaf(second_, now_), device}, attested_));
}

TEST_F(TrustAnchorsTest, ValidityCountsOnlyByAClockThatSomebodyVouchesFor) {
  const std::vector<Certificate> chain{leaf(first_, now_)};
  for (const WallTime wrong : {now_ - kDay * 9000, now_ + kDay * 401}) {
    EXPECT_FALSE(trusting(first_).verify(chain, {wrong, TimeQuality::kAttested}));
    EXPECT_FALSE(trusting(first_).verify(chain, {wrong, TimeQuality::kSynchronised}));
    EXPECT_TRUE(trusting(first_).verify(chain, {wrong, TimeQuality::kUnattested}));
    EXPECT_TRUE(trusting(first_).verify(chain, {wrong, TimeQuality::kFloor}));
    EXPECT_FALSE(trusting(second_).verify(chain, {wrong, TimeQuality::kUnattested}));
  }
}

TEST_F(TrustAnchorsTest, AnAuthorityIsSucceededOnlyByOneThatItSigned) {
  const std::string both = first_.certificate().pem() + second_.certificate().pem();
  const auto grown = trusting(first_).succeeded_by(both, second_by_first_.pem());
  ASSERT_TRUE(grown) << grown.error().to_string();
  EXPECT_EQ(grown->certificates().size(), 2U);
  EXPECT_TRUE(grown->verify({leaf(second_, now_)}, attested_));
  // The old one goes when it is no longer listed.
  const auto shrunk = grown->succeeded_by(second_.certificate().pem(), "");
  ASSERT_TRUE(shrunk) << shrunk.error().to_string();
  EXPECT_FALSE(shrunk->verify({leaf(first_, now_)}, attested_));
  // Slept through the overlap, and through two.
  EXPECT_TRUE(trusting(first_).succeeded_by(second_.certificate().pem(), second_by_first_.pem()));
  EXPECT_TRUE(trusting(first_).succeeded_by(third_.certificate().pem(),
                                            second_by_first_.pem() + third_by_second_.pem()));

  EXPECT_FALSE(trusting(first_).succeeded_by(both, ""));
  EXPECT_FALSE(trusting(first_).succeeded_by(both, third_by_second_.pem()));
  EXPECT_FALSE(trusting(first_).succeeded_by(third_.certificate().pem(), third_by_second_.pem()));
  // Another authority of the same name but another key.
  const CertificateAuthority impostor = authority("fleet 2", now_);
  EXPECT_FALSE(trusting(first_).succeeded_by(impostor.certificate().pem(), second_by_first_.pem()));
}

TEST_F(TrustAnchorsTest, RefusesWhatIsNoListOfAuthorities) {
  EXPECT_FALSE(TrustAnchors::from_pem(""));
  EXPECT_FALSE(TrustAnchors::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n"));
  EXPECT_FALSE(TrustAnchors::from_pem(leaf(first_, now_).pem()));
  EXPECT_FALSE(TrustAnchors::from_pem(second_by_first_.pem()));
  EXPECT_FALSE(TrustAnchors::from_pem(std::string(70'000, 'x')));
  std::string many;
  for (int i = 0; i < 17; ++i) {
    many += first_.certificate().pem();
  }
  EXPECT_FALSE(TrustAnchors::from_pem(many));
  // Broken after a good one: nothing is taken.
  EXPECT_FALSE(TrustAnchors::from_pem(first_.certificate().pem() +
                                      "-----BEGIN CERTIFICATE-----\nMIIB\n-----END "
                                      "CERTIFICATE-----\n"));
}

TEST_F(TrustAnchorsTest, KnowsItselfByItsText) {
  const std::string both = first_.certificate().pem() + second_.certificate().pem();
  EXPECT_EQ(TrustAnchors::from_pem(both)->digest(), TrustAnchors::from_pem("\n" + both)->digest());
  EXPECT_FALSE(TrustAnchors::from_pem(both)->digest() == trusting(first_).digest());
}

}  // namespace
}  // namespace skerry::security
