// Who may hand a device anything at all: every kind of server that a thief could put in the
// controller's place, met by the device's own channel. Those that it does not believe are told
// nothing and heard in nothing, so that keys of repositories reach no device without the
// controller's certificate (docs/stolen-keys.md).

#include "sync/controller_channel.hpp"

#include <atomic>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "skerry/agent/config.hpp"
#include "skerry/security/certificate.hpp"

#include "sync/server_trust.hpp"
#include "temp_dir.hpp"

namespace skerry::test {
namespace {

using security::Certificate;
using security::CertificateAuthority;
using security::SpiffeId;

const WallTime kNow = *parse_rfc3339("2026-11-22T12:00:00Z");
constexpr std::string_view kDomain = "skerry.local";
const std::string kBait = "what the thief wants the device to take";

struct Key {
  std::shared_ptr<const security::Signer> signer;
  std::string pem;
};

// Answers every call with what the thief made, and counts them.
class Impostor final : public fleet::v1::DeviceService::Service {
 public:
  grpc::Status GetMetadata(grpc::ServerContext*,
                           const fleet::v1::GetMetadataRequest*,
                           fleet::v1::GetMetadataResponse* response) override {
    ++calls;
    response->set_content(kBait);
    return grpc::Status::OK;
  }
  std::atomic<int> calls{0};
};

class ControllerChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto leaf = certify(root_, device_key_, SpiffeId::Kind::kDevice, kDomain);
    identity_.certificate_chain_pem = leaf.pem();
    identity_.trust_bundle_pem = root_.certificate().pem();
  }

  Key make_key() {
    const auto uri =
        security::KeyUri::parse("file:" + (dir_ / (std::to_string(++keys_) + ".pem")).string());
    auto signer = security::open_or_create_key(fs_, *uri, security::KeyAlgorithm::kEcdsaP256);
    EXPECT_TRUE(signer) << signer.error().to_string();
    return {std::move(*signer), *security::private_key_pem(fs_, *uri)};
  }

  CertificateAuthority make_authority() {
    return *CertificateAuthority::create(
        make_key().signer, "Skerry fleet CA (skerry.local)", kNow, std::chrono::hours{24 * 3650});
  }

  // A certificate with every name that the real controller has, but for what is asked for here.
  static Certificate certify(const CertificateAuthority& by,
                             const Key& key,
                             SpiffeId::Kind kind,
                             std::string_view domain,
                             const std::string& host = "127.0.0.1") {
    security::CertificateGrant grant;
    grant.names.common_name = "skerry-controller";
    grant.names.spiffe_id = SpiffeId{std::string{domain}, kind, "controller"}.to_string();
    if (host == "127.0.0.1") {
      grant.names.ip_addresses = {host};
    } else {
      grant.names.dns_names = {host};
    }
    grant.server = true;
    grant.not_before = kNow;
    const auto made = by.issue(key.signer->public_key(), grant);
    EXPECT_TRUE(made) << made.error().to_string();
    return *made;
  }

  // What the device gets from a server with this chain: the bait if it believes it.
  Result<std::string> fetch_from(const std::string& chain, const Key& key) {
    grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
    options.pem_key_cert_pairs.push_back({key.pem, chain});
    return fetch_with(grpc::SslServerCredentials(options));
  }

  Result<std::string> fetch_with(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    Impostor impostor;
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port);
    builder.RegisterService(&impostor);
    const auto server = builder.BuildAndStart();
    EXPECT_NE(server, nullptr);
    agent::ControllerConfig config;
    config.address = "127.0.0.1:" + std::to_string(port);
    FakeClock clock{kNow};
    agent::DeviceTime time{clock, WallTime{}, [] { return true; }};
    auto trust = std::make_shared<agent::sync::ServerTrust>(
        *security::TrustAnchors::from_pem(identity_.trust_bundle_pem), std::string{kDomain}, time);
    agent::sync::ControllerSource source{
        agent::sync::make_device_channel(config, identity_, device_key_.pem, trust)};
    // As the control channel and the blobs, it goes over the one connection.
    auto fetched =
        static_cast<agent::ModelSource&>(source).metadata().fetch("timestamp.json", 1024);
    heard_ = impostor.calls;
    server->Shutdown();
    trust->close();
    return fetched;
  }

  void expect_refused(const std::string& chain, const Key& key, const char* what) {
    const auto fetched = fetch_from(chain, key);
    EXPECT_FALSE(fetched) << what;
    EXPECT_EQ(heard_, 0) << what << ": the server has heard of a call";
  }

  TempDir dir_;
  SystemFileSystem fs_;
  int keys_ = 0;
  CertificateAuthority root_ = make_authority();
  Key device_key_ = make_key();
  Key server_key_ = make_key();
  agent::sync::DeviceIdentity identity_;
  int heard_ = 0;
};

TEST_F(ControllerChannelTest, TheControllersCertificateIsBelieved) {
  const auto leaf = certify(root_, server_key_, SpiffeId::Kind::kController, kDomain);
  const auto fetched = fetch_from(leaf.pem(), server_key_);
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  EXPECT_EQ(*fetched, kBait);
  EXPECT_EQ(heard_, 1);
}

TEST_F(ControllerChannelTest, AForeignAuthorityIsNot) {
  const auto foreign = make_authority();
  const Key key = make_key();
  const auto leaf = certify(foreign, key, SpiffeId::Kind::kController, kDomain);
  expect_refused(leaf.pem(), key, "another authority of the same name");
  expect_refused(leaf.pem() + foreign.certificate().pem(), key, "with its authority sent along");
  expect_refused(
      leaf.pem() + root_.certificate().pem(), key, "with the fleet's authority sent along");
  // The thief's authority says of itself that it follows the fleet's.
  const auto self = foreign.cross_sign(root_.certificate(), kNow);
  ASSERT_TRUE(self);
  expect_refused(leaf.pem() + self->pem(), key, "with a cross certificate in the wrong direction");
}

TEST_F(ControllerChannelTest, AnotherCertificateOfTheFleetIsNot) {
  const Key key = make_key();
  for (const auto kind : {SpiffeId::Kind::kDevice, SpiffeId::Kind::kOperator}) {
    expect_refused(certify(root_, key, kind, kDomain).pem(), key, "no controller");
  }
  expect_refused(certify(root_, key, SpiffeId::Kind::kController, "elsewhere.local").pem(),
                 key,
                 "a controller of another domain");
  expect_refused(certify(root_, key, SpiffeId::Kind::kController, kDomain, "other.example").pem(),
                 key,
                 "a controller elsewhere");
  // A leaf of the fleet is no authority, whatever its key signs.
  const auto leaf = certify(root_, key, SpiffeId::Kind::kController, kDomain);
  const auto below = CertificateAuthority::create(
      key.signer, "skerry-controller", kNow, std::chrono::hours{24 * 365});
  ASSERT_TRUE(below);
  const Key own = make_key();
  expect_refused(certify(*below, own, SpiffeId::Kind::kController, kDomain).pem() + leaf.pem(),
                 own,
                 "signed with a leaf's key");
}

TEST_F(ControllerChannelTest, NoTlsAtAllIsNot) {
  EXPECT_FALSE(fetch_with(grpc::InsecureServerCredentials()));
  EXPECT_EQ(heard_, 0);
}

// What the table calls "controller certificate": its key, or the authority's, which makes one.
TEST_F(ControllerChannelTest, TheAuthoritysKeyIsAsGoodAsTheControllers) {
  const Key key = make_key();
  const auto leaf = certify(root_, key, SpiffeId::Kind::kController, kDomain);
  EXPECT_TRUE(fetch_from(leaf.pem(), key));
  // And an authority that it vouched for.
  const auto next = make_authority();
  const auto cross = root_.cross_sign(next.certificate(), kNow);
  ASSERT_TRUE(cross) << cross.error().to_string();
  const auto by_next = certify(next, key, SpiffeId::Kind::kController, kDomain);
  EXPECT_TRUE(fetch_from(by_next.pem() + cross->pem(), key));
}

}  // namespace
}  // namespace skerry::test
