// Certificate mode: which chains may sign a model, at what time, and under which anchors.

#include <gmock/gmock.h>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/sign.hpp"
#include "skerry/security/model_signing/verify.hpp"

#include "model_signing_fixture.hpp"

namespace skerry::security::model_signing::test {
namespace {

using ::testing::HasSubstr;

CertificateSpec authority(const std::string& name) {
  CertificateSpec spec;
  spec.name = name;
  spec.ca = true;
  spec.key_usage = "critical,keyCertSign";
  spec.extended_key_usage = "";
  return spec;
}

CertificateSpec leaf_named(const std::string& name) {
  CertificateSpec spec;
  spec.name = name;
  return spec;
}

class ModelSigningChain : public ::testing::Test {
 protected:
  // Signs past the checks of `sign_statement`, as a careless or hostile signer would.
  [[nodiscard]] std::string sign_unchecked(const std::vector<Bytes>& chain) const {
    Statement statement;
    statement.model_name = "m";
    Resource resource;
    resource.path = "f";
    resource.digest.assign(32, 7);
    statement.resources.push_back(resource);
    auto payload = write_statement(statement);
    EXPECT_TRUE(payload);
    Bundle bundle;
    bundle.material = Bundle::Material::kCertificateChain;
    bundle.certificates = chain;
    bundle.payload = *payload;
    const std::string message = pre_authentication_encoding(bundle.payload);
    auto signature = leaf_key_.signing().sign(as_bytes(message));
    EXPECT_TRUE(signature);
    bundle.signature = *signature;
    return write_bundle(bundle);
  }

  static std::string refusal(const std::string& bundle,
                             const TrustAnchors& anchors,
                             WallTime now = test_now()) {
    const auto authentic = authenticate(bundle, anchors, now);
    if (authentic) {
      return "accepted";
    }
    EXPECT_EQ(authentic.error().code(), Error::Code::kCertificateInvalid);
    return authentic.error().message();
  }

  [[nodiscard]] TestCertificate make_leaf(const CertificateSpec& spec) const {
    return issue(spec, leaf_key_, intermediate_key_, &intermediate_);
  }

  KeyPair root_key_{"P-384"};
  KeyPair intermediate_key_{"P-384"};
  KeyPair leaf_key_{"P-384"};
  TestCertificate root_ = issue(authority("root"), root_key_, root_key_);
  TestCertificate intermediate_ =
      issue(authority("intermediate"), intermediate_key_, root_key_, &root_);
};

TEST_F(ModelSigningChain, AChainToTheAnchorIsAcceptedAndSaysWho) {
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  const auto authentic =
      authenticate(sign_unchecked({leaf.der(), intermediate_.der()}), root_.anchor(), test_now());
  ASSERT_TRUE(authentic) << authentic.error().to_string();
  EXPECT_EQ(authentic->signer.method, "certificate");
  EXPECT_EQ(authentic->signer.subject, "CN=maker");
  EXPECT_EQ(authentic->signer.anchor, "CN=root");
  EXPECT_EQ(authentic->signer.anchor_sha256, Digest::of(ByteView{root_.der()}).hex());
}

TEST_F(ModelSigningChain, AnchorsMayBeAnIntermediateOrTheLeafItself) {
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  EXPECT_EQ(refusal(sign_unchecked({leaf.der()}), intermediate_.anchor()), "accepted");
  EXPECT_EQ(refusal(sign_unchecked({leaf.der()}), leaf.anchor()), "accepted");
  const TestCertificate self = issue(leaf_named("self"), leaf_key_, leaf_key_);
  EXPECT_EQ(refusal(sign_unchecked({self.der(), self.der()}), self.anchor()), "accepted");
}

TEST_F(ModelSigningChain, NothingButTheAnchorsIsTrusted) {
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  const std::string bundle = sign_unchecked({leaf.der(), intermediate_.der(), root_.der()});
  EXPECT_THAT(refusal(bundle, TrustAnchors{}), HasSubstr("no trust anchor"));
  const KeyPair other{"P-256"};
  EXPECT_THAT(refusal(bundle, issue(authority("another root"), other, other).anchor()),
              HasSubstr("ends at none of the given anchors"));
  EXPECT_THAT(refusal(bundle, issue(authority("root"), other, other).anchor()),
              HasSubstr("signature failure"));
  // Without its issuer the leaf leads nowhere.
  EXPECT_THAT(refusal(sign_unchecked({leaf.der()}), root_.anchor()),
              HasSubstr("ends at none of the given anchors"));
}

TEST_F(ModelSigningChain, EveryCertificateMustBeValidNow) {
  CertificateSpec spec = leaf_named("maker");
  spec.days_before = -20;
  spec.days_after = -1;
  EXPECT_THAT(refusal(sign_unchecked({make_leaf(spec).der(), intermediate_.der()}), root_.anchor()),
              HasSubstr("'CN=maker' has expired"));
  spec.days_before = 1;
  spec.days_after = 9;
  EXPECT_THAT(refusal(sign_unchecked({make_leaf(spec).der(), intermediate_.der()}), root_.anchor()),
              HasSubstr("'CN=maker' is not valid yet"));

  CertificateSpec old = authority("intermediate");
  old.days_after = -1;
  const TestCertificate stale = issue(old, intermediate_key_, root_key_, &root_);
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  EXPECT_THAT(refusal(sign_unchecked({leaf.der(), stale.der()}), root_.anchor()),
              HasSubstr("expired"));

  old = authority("root");
  old.days_after = -1;
  const TestCertificate old_root = issue(old, root_key_, root_key_);
  EXPECT_THAT(refusal(sign_unchecked({leaf.der(), intermediate_.der()}), old_root.anchor()),
              HasSubstr("expired"));
}

TEST_F(ModelSigningChain, TheLeafMustBeForCodeSigning) {
  CertificateSpec spec = leaf_named("web");
  for (const char* usage : {"", "serverAuth", "clientAuth,emailProtection"}) {
    spec.extended_key_usage = usage;
    EXPECT_THAT(
        refusal(sign_unchecked({make_leaf(spec).der(), intermediate_.der()}), root_.anchor()),
        HasSubstr("lacks code signing"));
  }
  spec.extended_key_usage = "codeSigning";
  spec.key_usage = "critical,keyAgreement";
  EXPECT_THAT(refusal(sign_unchecked({make_leaf(spec).der(), intermediate_.der()}), root_.anchor()),
              HasSubstr("lacks digital signature"));
}

TEST_F(ModelSigningChain, ALeafIsNoAuthority) {
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  const KeyPair minion_key{"P-384"};
  // Issued by the leaf's key, and presented with the rest of a good chain.
  const TestCertificate minion = issue(leaf_named("minion"), leaf_key_, leaf_key_, &leaf);
  const std::string bundle = sign_unchecked({minion.der(), leaf.der(), intermediate_.der()});
  EXPECT_THAT(refusal(bundle, root_.anchor()), HasSubstr("refused"));
}

TEST_F(ModelSigningChain, ASignatureByAnotherKeyThanTheLeafsIsRefused) {
  const KeyPair other{"P-384"};
  const TestCertificate leaf = issue(leaf_named("maker"), other, intermediate_key_, &intermediate_);
  const auto authentic =
      authenticate(sign_unchecked({leaf.der(), intermediate_.der()}), root_.anchor(), test_now());
  ASSERT_FALSE(authentic);
  EXPECT_EQ(authentic.error().code(), Error::Code::kSignatureInvalid);
}

TEST_F(ModelSigningChain, TheMethodMustBeTheBundles) {
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  const auto as_key =
      authenticate(sign_unchecked({leaf.der(), intermediate_.der()}), leaf_key_.verify());
  ASSERT_FALSE(as_key);
  EXPECT_THAT(as_key.error().message(), HasSubstr("method certificate, not key"));
}

TEST_F(ModelSigningChain, TheSignerIsHeldToWhatVerifiersWant) {
  const ModelFolder model;
  model.write("f", "x");
  const auto statement = describe_model(model.path(), {});
  ASSERT_TRUE(statement);
  const TestCertificate leaf = make_leaf(leaf_named("maker"));
  const std::vector<Bytes> chain{leaf.der(), intermediate_.der()};
  const auto bundle = sign_statement(*statement, leaf_key_.signing(), chain, test_now());
  ASSERT_TRUE(bundle);
  EXPECT_EQ(refusal(*bundle, root_.anchor()), "accepted");

  const KeyPair other{"P-384"};
  const auto wrong_key = sign_statement(*statement, other.signing(), chain, test_now());
  EXPECT_THAT(wrong_key.error().message(), HasSubstr("not for this private key"));
  const auto late = sign_statement(
      *statement, leaf_key_.signing(), chain, test_now() + std::chrono::hours{24 * 30});
  EXPECT_THAT(late.error().message(), HasSubstr("expired"));
  const auto signed_late = sign_statement(*statement,
                                          leaf_key_.signing(),
                                          chain,
                                          test_now() + std::chrono::hours{24 * 30},
                                          UnfitLeaf::kSign);
  EXPECT_TRUE(signed_late);
  EXPECT_FALSE(sign_statement(*statement, leaf_key_.signing(), {}, test_now()));
}

}  // namespace
}  // namespace skerry::security::model_signing::test
