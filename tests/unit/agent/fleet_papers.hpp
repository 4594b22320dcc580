#pragma once

// Certificates of both sides on fake clocks: the controller's authorities and enrolment, and the
// gateway's identity in its state folder, by the code that the programs run. For tests of what
// happens to them over the years.

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "skerry/common/clock.hpp"
#include "skerry/common/random.hpp"
#include "skerry/controller/enrolment.hpp"

#include "sync/renewal.hpp"
#include "sync/server_trust.hpp"

namespace skerry::test {

// Who says who is who: the controller's own code, by a clock that is right.
class Bureau {
 public:
  Bureau(const std::filesystem::path& state, WallTime now) : clock_(now) {
    for (const char* folder : {"certificates", "keys"}) {
      EXPECT_TRUE(fs_.create_directories(state / folder, 0700));
    }
    store_ = *controller::Store::open("sqlite3", (state / "controller.db").string());
    controller::Config config;
    config.state_directory = state;
    authorities_ = *controller::Authorities::open(
        fs_, clock_, *controller::Settings::finalize(std::move(config)));
    enrolment_ = std::make_unique<controller::Enrolment>(*store_,
                                                         *authorities_,
                                                         clock_,
                                                         random_,
                                                         controller::IdentityConfig{},
                                                         controller::EnrolmentConfig{});
  }

  FakeClock& clock() { return clock_; }
  controller::Authorities& authorities() { return *authorities_; }

  // What the controller's server shows, as `refresh_certificates` puts it together.
  std::string server_chain() {
    security::CertificateGrant grant;
    grant.names.common_name = "skerry-controller";
    grant.names.spiffe_id = "spiffe://skerry.local/controller/controller";
    grant.server = true;
    grant.not_before = clock_.wall_now();
    grant.lifetime = std::chrono::hours{24 * 90};
    return authorities_->issue_server(server_key_->public_key(), grant)->pem() +
           authorities_->cross_pem();
  }

  agent::sync::DeviceIdentity enrol(const std::string& csr_der) {
    controller::TokenRequest request;
    request.tenant_id = "default";
    const auto token = enrolment_->create_token(request);
    EXPECT_TRUE(token) << token.error().to_string();
    const auto enrolled = enrolment_->enroll(token->token, csr_der, "");
    EXPECT_TRUE(enrolled) << enrolled.error().to_string();
    agent::sync::DeviceIdentity identity;
    identity.device_id = enrolled->device_id;
    identity.certificate_chain_pem = enrolled->certificate_chain_pem;
    identity.trust_bundle_pem = enrolled->trust_bundle_pem;
    return identity;
  }

  // The Renew call of a client that showed this certificate and has its key.
  Result<fleet::v1::RenewResponse> renew(const agent::sync::DeviceIdentity& shown,
                                         const std::string& csr_der) {
    const auto certificate = security::Certificate::from_pem(shown.certificate_chain_pem);
    if (auto known = authorities_->verify(
            *certificate, clock_.wall_now(), controller::Authorities::Use::kRenewal);
        !known) {
      return known.error();
    }
    const auto renewed = enrolment_->renew(shown.device_id, certificate->not_before(), csr_der);
    if (!renewed) {
      return renewed.error();
    }
    fleet::v1::RenewResponse answer;
    answer.set_certificate_chain_pem(renewed->certificate_chain_pem);
    answer.mutable_trust()->set_anchors_pem(renewed->trust_bundle_pem);
    answer.mutable_trust()->set_cross_certificates_pem(renewed->cross_pem);
    return answer;
  }

 private:
  FakeClock clock_;
  FakeRandom random_{11};
  SystemFileSystem fs_;
  std::unique_ptr<controller::Store> store_;
  std::unique_ptr<controller::Authorities> authorities_;
  std::unique_ptr<controller::Enrolment> enrolment_;
  std::unique_ptr<security::Signer> server_key_ =
      *security::make_memory_signer(security::KeyAlgorithm::kEcdsaP256);
};

// The gateway's certificate in its state folder.
class Papers {
 public:
  explicit Papers(std::filesystem::path state) : state_(std::move(state)) {}

  agent::sync::Credentials held() {
    auto credentials = agent::sync::load_credentials(fs_, state_);
    EXPECT_TRUE(credentials) << credentials.error().to_string();
    return *std::move(credentials);
  }

  static std::string request(const security::Signer& key) {
    security::CertificateNames names;
    names.common_name = "gateway";
    return std::string{as_text(*security::make_certificate_request_der(key, names))};
  }

  Result<void> keep(const agent::sync::DeviceIdentity& identity, const security::Signer& key) {
    const auto stored = agent::sync::store_identity(
        fs_, state_ / "identity.json", identity, key.public_key().spki_digest());
    return stored ? Result<void>{} : stored.error();
  }

  // As the renewal does it: the next key, the request, the answer judged, all of it kept.
  Result<void> renew(Bureau& bureau) {
    const auto present = *held().identity;
    const std::string file = agent::sync::next_key_file(present.key_file);
    const auto uri = security::KeyUri::parse("file:" + (state_ / "keys" / file).string());
    const auto key = security::open_or_create_key(fs_, *uri, security::KeyAlgorithm::kEcdsaP256);
    const auto answer = bureau.renew(present, request(**key));
    if (!answer) {
      return answer.error();
    }
    auto next = agent::sync::renewed_identity(present, (*key)->public_key().spki_digest(), *answer);
    if (!next) {
      return next.error();
    }
    next->key_file = file;
    return keep(*next, **key);
  }

  [[nodiscard]] security::Certificate certificate() {
    return *security::Certificate::from_pem(held().identity->certificate_chain_pem);
  }

  // Whether the gateway believes that this server is its controller.
  Result<void> believes(const std::string& chain, const agent::DeviceTime& time) {
    const agent::sync::ServerTrust trust{
        *security::TrustAnchors::from_pem(held().identity->trust_bundle_pem), "skerry.local", time};
    return trust.verify(chain);
  }

 private:
  std::filesystem::path state_;
  SystemFileSystem fs_;
};

}  // namespace skerry::test
