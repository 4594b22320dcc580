// The authorities over the years: what each state means for certificates, and what a cut leaves.

#include "skerry/controller/authorities.hpp"

#include <gtest/gtest.h>

#include "skerry/security/trust_anchors.hpp"

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

using security::TrustAnchors;
using std::chrono::hours;

class AuthoritiesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs_.create_directories(dir_.path() / "certificates", 0700));
    ASSERT_TRUE(fs_.create_directories(dir_.path() / "keys", 0700));
    authorities_ = open(fs_);
  }
  std::unique_ptr<Authorities> open(FileSystem& fs) {
    Config config;
    config.state_directory = dir_.path();
    auto opened = Authorities::open(fs, clock_, *Settings::finalize(std::move(config)));
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? std::move(*opened) : nullptr;
  }
  security::Certificate device(const Authorities& by) {
    security::CertificateGrant grant;
    grant.names.common_name = "dev-1";
    grant.names.spiffe_id = "spiffe://skerry.local/device/dev-1";
    grant.not_before = clock_.wall_now();
    return *by.issue(key_->public_key(), grant);
  }
  security::Certificate server(const Authorities& by) {
    security::CertificateGrant grant;
    grant.names.common_name = "skerry-controller";
    grant.server = true;
    grant.not_before = clock_.wall_now();
    return *by.issue_server(key_->public_key(), grant);
  }
  Error::Code verdict(const security::Certificate& certificate, Authorities::Use use) {
    const auto verified = authorities_->verify(certificate, clock_.wall_now(), use);
    return verified ? Error::Code{} : verified.error().code();
  }
  // Leaf first, then what the server sends along.
  std::vector<security::Certificate> chain(const security::Certificate& leaf) {
    return *security::certificates_from_pem(leaf.pem() + authorities_->cross_pem());
  }
  [[nodiscard]] security::TrustedTime now() const {
    return {clock_.wall_now(), security::TimeQuality::kAttested};
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{*parse_rfc3339("2026-11-22T12:00:00Z")};
  std::unique_ptr<security::Signer> key_ =
      std::move(*security::make_memory_signer(security::KeyAlgorithm::kEcdsaP256));
  std::unique_ptr<Authorities> authorities_;
};

constexpr Error::Code kGood{};
constexpr auto kRenewalOnly = Error::Code::kCertificateInvalid;
constexpr auto kNothing = Error::Code::kUnauthenticated;

TEST_F(AuthoritiesTest, WhatEachStateMeansForACertificate) {
  using Use = Authorities::Use;
  const auto old = device(*authorities_);
  EXPECT_EQ(verdict(old, Use::kCall), kGood);
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  const auto fresh = device(*authorities_);
  EXPECT_EQ(verdict(old, Use::kCall), kGood);
  EXPECT_EQ(verdict(fresh, Use::kCall), kGood);
  ASSERT_TRUE(authorities_->retire(1, false));
  EXPECT_EQ(verdict(old, Use::kCall), kRenewalOnly);
  EXPECT_EQ(verdict(old, Use::kRenewal), kGood);
  EXPECT_EQ(verdict(fresh, Use::kCall), kGood);
  ASSERT_TRUE(authorities_->retire(1, true));
  EXPECT_EQ(verdict(old, Use::kCall), kNothing);
  EXPECT_EQ(verdict(old, Use::kRenewal), kNothing);
  EXPECT_EQ(verdict(fresh, Use::kCall), kGood);
  // Long after its end.
  clock_.advance(hours{24 * 500});
  EXPECT_EQ(verdict(fresh, Use::kCall), kRenewalOnly);
  EXPECT_EQ(verdict(fresh, Use::kRenewal), kGood);
  // Not yet valid is no reason for a renewal.
  clock_.set_wall(*parse_rfc3339("2025-01-01T00:00:00Z"));
  EXPECT_EQ(verdict(fresh, Use::kRenewal), kNothing);
}

TEST_F(AuthoritiesTest, DevicesOfEveryAgeFollow) {
  const auto anchors_1 = *TrustAnchors::from_pem(authorities_->bundle_pem());
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  // Overlap: everybody accepts the server, whichever bundle they have.
  const auto anchors_12 = *TrustAnchors::from_pem(authorities_->bundle_pem());
  EXPECT_EQ(anchors_12.certificates().size(), 2U);
  EXPECT_TRUE(anchors_1.verify(chain(server(*authorities_)), now()));
  EXPECT_TRUE(anchors_12.verify(chain(server(*authorities_)), now()));
  EXPECT_TRUE(anchors_1.succeeded_by(authorities_->bundle_pem(), authorities_->cross_pem()));
  ASSERT_TRUE(authorities_->retire(1, false));
  const auto anchors_2 = *TrustAnchors::from_pem(authorities_->bundle_pem());
  EXPECT_EQ(anchors_2.certificates().size(), 1U);
  for (const auto* anchors : {&anchors_1, &anchors_12, &anchors_2}) {
    EXPECT_TRUE(anchors->verify(chain(server(*authorities_)), now()));
    EXPECT_TRUE(anchors->succeeded_by(authorities_->bundle_pem(), authorities_->cross_pem()));
  }
  // One that slept through two rotations.
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  ASSERT_TRUE(authorities_->retire(2, false));
  EXPECT_TRUE(anchors_1.verify(chain(server(*authorities_)), now()));
  EXPECT_TRUE(anchors_1.succeeded_by(authorities_->bundle_pem(), authorities_->cross_pem()));
  EXPECT_TRUE(anchors_2.verify(chain(server(*authorities_)), now()));
  // The middle one was stolen: what it signed leads nowhere any more.
  ASSERT_TRUE(authorities_->retire(2, true));
  EXPECT_FALSE(anchors_1.verify(chain(server(*authorities_)), now()));
  EXPECT_FALSE(anchors_2.succeeded_by(authorities_->bundle_pem(), authorities_->cross_pem()));
}

TEST_F(AuthoritiesTest, RefusesStepsInTheWrongOrder) {
  EXPECT_EQ(authorities_->retire(1, false).error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(authorities_->retire(7, false).error().code(), Error::Code::kNotFound);
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  EXPECT_EQ(authorities_->rotate(clock_.wall_now()).error().code(),
            Error::Code::kFailedPrecondition);
  EXPECT_FALSE(authorities_->retire(2, false));
  ASSERT_TRUE(authorities_->retire(1, false));
  EXPECT_FALSE(authorities_->retire(1, false));
}

TEST_F(AuthoritiesTest, AreTheSameAfterARestart) {
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  const auto again = open(fs_);
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->first_start());
  EXPECT_EQ(again->bundle_pem(), authorities_->bundle_pem());
  EXPECT_EQ(again->cross_pem(), authorities_->cross_pem());
  EXPECT_EQ(again->list().back().state, AuthorityState::kIssuing);
  EXPECT_TRUE(authorities_->verify(device(*again), clock_.wall_now(), Authorities::Use::kCall));
  ASSERT_TRUE(again->retire(1, false));
  // The key of a retired authority is needed no more.
  ASSERT_TRUE(fs_.remove(dir_.path() / "keys" / "ca.pem"));
  EXPECT_TRUE(open(fs_));
}

TEST_F(AuthoritiesTest, EveryCutOfARotationLeavesOneThatWorksAndCanBeRepeated) {
  for (const test::Loss loss : {test::Loss::kUnsynced, test::Loss::kTorn, test::Loss::kNothing}) {
    for (std::uint64_t k = 0;; ++k) {
      const test::TempDir scratch;
      std::filesystem::copy(dir_.path(),
                            scratch.path(),
                            std::filesystem::copy_options::recursive |
                                std::filesystem::copy_options::overwrite_existing);
      Config config;
      config.state_directory = scratch.path();
      const auto settings = *Settings::finalize(std::move(config));
      bool done = false;
      test::FaultFileSystem faulty{scratch.path()};
      {
        auto opened = Authorities::open(faulty, clock_, settings);
        ASSERT_TRUE(opened) << opened.error().to_string();
        faulty.fail_at(k, test::Fault::kPowerCut);
        done = static_cast<bool>((*opened)->rotate(clock_.wall_now()));
      }
      faulty.restart(loss);
      auto after = Authorities::open(fs_, clock_, settings);
      ASSERT_TRUE(after) << "cut at " << k << ": " << after.error().to_string();
      const auto held = (*after)->list().size();
      EXPECT_TRUE(held == 1 || held == 2);
      EXPECT_TRUE((*after)->verify(device(**after), clock_.wall_now(), Authorities::Use::kCall));
      if (held == 1) {
        EXPECT_FALSE(done);
        EXPECT_TRUE((*after)->rotate(clock_.wall_now()));
      }
      if (done) {
        break;
      }
    }
  }
}

TEST_F(AuthoritiesTest, ADamagedListIsNamed) {
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  const auto file = dir_.path() / "certificates" / "authorities.json";
  for (const char* text : {"",
                           "{}",
                           "[]",
                           "{\"format\":\"skerry-authorities/1\"}",
                           "{\"format\":\"skerry-authorities/1\",\"authorities\":[]}",
                           "{\"format\":\"skerry-authorities/1\",\"authorities\":[{}]}"}) {
    ASSERT_TRUE(write_file_atomic(fs_, file, text, 0600));
    Config config;
    config.state_directory = dir_.path();
    const auto opened = Authorities::open(fs_, clock_, *Settings::finalize(std::move(config)));
    ASSERT_FALSE(opened) << text;
    EXPECT_NE(opened.error().message().find("the certificate authorities"), std::string::npos);
  }
}

}  // namespace
}  // namespace skerry::controller
