// The public vectors of the reference implementation and of the specification; where each comes
// from is in tests/vectors/oms/README.md.

#include <gmock/gmock.h>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/verify.hpp"

#include "model_signing_fixture.hpp"

namespace skerry::security::model_signing::test {
namespace {

using ::testing::HasSubstr;

std::string read_vector(const std::string& name) {
  std::ifstream in{std::string{SKERRY_OMS_VECTORS} + "/" + name, std::ios::binary};
  std::string out{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_FALSE(out.empty()) << name;
  return out;
}

constexpr const char* kReference = "model-transparency/";
constexpr const char* kSpec = "model-signing-spec/v1.0/";

class ModelSigningVectors : public ::testing::Test {
 protected:
  void SetUp() override {
    // Two generations of the reference's test model: with and without a final line feed.
    newline_.write("signme-1", "signme-1\n");
    newline_.write("signme-2", "signme-2");
    plain_.write("signme-1", "signme-1");
    plain_.write("signme-2", "signme-2");
  }

  [[nodiscard]] static VerifyKey key() {
    auto key = VerifyKey::from_bytes(read_vector("keys/signing-key-pub.pem"));
    EXPECT_TRUE(key);
    return std::move(*key);
  }
  [[nodiscard]] static TrustAnchors anchors() {
    TrustAnchors anchors;
    EXPECT_TRUE(anchors.add_pem(read_vector("keys/intermediate-ca.pem")));
    return anchors;
  }

  static Error by_key(const std::string& vector,
                      const std::filesystem::path& model,
                      const std::vector<std::string>& ignore = {}) {
    const auto authentic = authenticate(read_vector(vector), key());
    return authentic ? check(model, authentic->statement, ignore) : authentic.error();
  }

  static Error by_certificate(const std::string& vector,
                              const std::filesystem::path& model,
                              Legacy legacy = Legacy::kRefuse) {
    const auto authentic = authenticate(read_vector(vector), anchors(), test_now(), legacy);
    return authentic ? check(model, authentic->statement, {}) : authentic.error();
  }

  // kCancelled with no text stands for success: an `Error` has no empty state.
  static Error good() { return {Error::Code::kCancelled, ""}; }

  static Error check(const std::filesystem::path& model,
                     const Statement& statement,
                     const std::vector<std::string>& ignore) {
    CheckOptions options;
    options.ignore_paths = ignore;
    const auto checked = check_model(model, statement, options);
    return checked ? good() : checked.error();
  }

  ModelFolder newline_;
  ModelFolder plain_;
};

TEST_F(ModelSigningVectors, TheHintIsTheDigestOfTheKeysText) {
  EXPECT_EQ(key().hint(), "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
}

TEST_F(ModelSigningVectors, ReferenceKeySignatures) {
  const std::string base = kReference;
  EXPECT_EQ(by_key(base + "v0.3.1-elliptic-key/model.sig", newline_ / "signme-1"), good());
  EXPECT_EQ(by_key(base + "v1.0.0-elliptic-key/model.sig", newline_ / "signme-1"), good());
  EXPECT_EQ(by_key(base + "v1.0.1-elliptic-key/model.sig", newline_.path()), good());
  EXPECT_EQ(by_key(base + "v1.1.0-elliptic-key/model.sig", newline_.path()), good());
}

TEST_F(ModelSigningVectors, PathsThatWereIgnoredAreInTheSignatureSince110) {
  newline_.write("ignore-me", "");
  const std::string base = kReference;
  EXPECT_EQ(by_key(base + "v1.1.0-elliptic-key/model.sig", newline_.path()), good());
  EXPECT_THAT(by_key(base + "v1.0.1-elliptic-key/model.sig", newline_.path()).message(),
              HasSubstr("ignore-me is in the model and not signed"));
  EXPECT_EQ(by_key(base + "v1.0.1-elliptic-key/model.sig", newline_.path(), {"ignore-me"}), good());
}

TEST_F(ModelSigningVectors, ReferenceCertificateSignatures) {
  const std::string base = kReference;
  for (const char* version : {"v0.3.1", "v1.0.0", "v1.0.1", "v1.1.0"}) {
    const std::string vector = base + version + "-certificate/model.sig";
    EXPECT_EQ(by_certificate(vector, plain_.path()), good()) << version;
    EXPECT_EQ(by_certificate(vector, newline_.path()).code(), Error::Code::kDigestMismatch)
        << version;
  }
}

// The Go implementation: no `keyid`, no `tlogEntries`, compact JSON, and in `ignore_paths` names
// that are not of the model.
TEST_F(ModelSigningVectors, SignaturesByTheGoImplementation) {
  const std::string base = "model-signing-spec/conformance/";
  EXPECT_EQ(by_key(base + "key-simple-go/bundle.sig", newline_.path()), good());
  EXPECT_EQ(by_certificate(base + "certificate-simple-go/bundle.sig", newline_.path()), good());
  newline_.write("ignore-me", "");
  EXPECT_EQ(by_key(base + "key-simple-go/bundle.sig", newline_.path(), {"ignore-me"}), good());
  EXPECT_THAT(by_key(base + "key-simple-go/bundle.sig", newline_.path()).message(),
              HasSubstr("ignore-me is in the model and not signed"));
}

TEST_F(ModelSigningVectors, TheDeprecatedFormIsRefusedUnlessAskedFor) {
  const std::string vector = std::string{kReference} + "v0.2.0-certificate/model.sig";
  EXPECT_EQ(by_certificate(vector, plain_.path(), Legacy::kAccept), good());
  EXPECT_EQ(by_certificate(vector, plain_.path()).code(), Error::Code::kSignatureInvalid);
  plain_.write("extra", "");
  EXPECT_THAT(by_certificate(vector, plain_.path(), Legacy::kAccept).message(), HasSubstr("extra"));
}

TEST_F(ModelSigningVectors, SpecificationVectors) {
  const std::string base = kSpec;
  EXPECT_EQ(by_key(base + "valid/key.bundle.json", newline_.path()), good());
  EXPECT_EQ(by_certificate(base + "valid/certificate.bundle.json", newline_.path()), good());
  EXPECT_EQ(by_key(base + "invalid/missing-envelope.bundle.json", newline_.path()).code(),
            Error::Code::kParse);
  // Its payload was changed without signing again, so the signature says so first.
  EXPECT_EQ(by_key(base + "invalid-payload/wrong-predicate.bundle.json", newline_.path()).code(),
            Error::Code::kSignatureInvalid);
  const auto bundle =
      parse_bundle(read_vector(base + "invalid-payload/wrong-predicate.bundle.json"));
  ASSERT_TRUE(bundle);
  const auto statement = parse_statement(bundle->payload);
  ASSERT_FALSE(statement);
  EXPECT_THAT(statement.error().message(), HasSubstr("predicateType"));
}

TEST_F(ModelSigningVectors, AFlippedByteAnywhereInPayloadOrSignatureIsFound) {
  const std::string text = read_vector(std::string{kReference} + "v1.1.0-elliptic-key/model.sig");
  const auto bundle = parse_bundle(text);
  ASSERT_TRUE(bundle);
  for (std::size_t i = 0; i < bundle->payload.size(); ++i) {
    Bundle changed = *bundle;
    changed.payload[i] = static_cast<char>(changed.payload[i] ^ 1);
    EXPECT_FALSE(authenticate(write_bundle(changed), key())) << "payload byte " << i;
  }
  for (std::size_t i = 0; i < bundle->signature.size(); ++i) {
    Bundle changed = *bundle;
    changed.signature[i] ^= 1;
    EXPECT_FALSE(authenticate(write_bundle(changed), key())) << "signature byte " << i;
  }
}

TEST_F(ModelSigningVectors, AnExpiredChainIsRefusedThoughItsSignatureIsGood) {
  const std::string text = read_vector(std::string{kReference} + "v1.1.0-certificate/model.sig");
  const auto late = parse_rfc3339("2036-01-01T00:00:00Z");
  ASSERT_TRUE(late);
  const auto authentic = authenticate(text, anchors(), *late);
  ASSERT_FALSE(authentic);
  EXPECT_EQ(authentic.error().code(), Error::Code::kCertificateInvalid);
  EXPECT_THAT(authentic.error().message(), HasSubstr("expired"));
}

}  // namespace
}  // namespace skerry::security::model_signing::test
