#include "skerry/security/key.hpp"

#include <gtest/gtest.h>

#include "skerry/security/signer.hpp"

namespace skerry::security {
namespace {

constexpr std::string_view kMessage = "a message";

TEST(PublicKey, VerifiesWhatItsSignerSigned) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::kEd25519, KeyAlgorithm::kEcdsaP256}) {
    const auto signer = make_memory_signer(algorithm);
    ASSERT_TRUE(signer);
    const auto signature = (*signer)->sign(as_bytes(kMessage));
    ASSERT_TRUE(signature);
    const PublicKey& key = (*signer)->public_key();
    EXPECT_EQ(key.algorithm(), algorithm);
    EXPECT_TRUE(key.verify(as_bytes(kMessage), *signature));
    const auto other = key.verify(as_bytes("another message"), *signature);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code(), Error::Code::kSignatureInvalid);
    Bytes broken = *signature;
    broken[broken.size() / 2] ^= 1U;
    EXPECT_FALSE(key.verify(as_bytes(kMessage), broken));
    EXPECT_FALSE(key.verify(as_bytes(kMessage), {}));
  }
}

TEST(PublicKey, RoundTripsThroughEveryTextForm) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::kEd25519, KeyAlgorithm::kEcdsaP256}) {
    const auto signer = make_memory_signer(algorithm);
    const PublicKey& key = (*signer)->public_key();
    EXPECT_EQ(*PublicKey::from_pem(key.pem()), key);
    EXPECT_EQ(*PublicKey::from_der(key.der()), key);
    EXPECT_EQ(*PublicKey::from_tuf_json(key.to_tuf_json()), key);
    EXPECT_EQ(*PublicKey::from_text(key.pem() + "\n"), key);
    EXPECT_EQ(*PublicKey::from_text(key.to_tuf_json().dump()), key);
    if (algorithm == KeyAlgorithm::kEd25519) {
      EXPECT_EQ(*PublicKey::from_text(to_hex(key.raw_ed25519())), key);
    }
  }
}

// RFC 8032, section 7.1, test 2.
TEST(PublicKey, VerifiesTheEd25519VectorOfRfc8032) {
  const auto key = PublicKey::from_ed25519(
      *from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  ASSERT_TRUE(key);
  const Bytes message{0x72};
  const auto signature = from_hex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(key->verify(message, *signature));
}

TEST(PublicKey, KeyIdIsTheHashOfTheCanonicalKey) {
  const auto key = PublicKey::from_ed25519(
      *from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  const std::string canonical =
      R"({"keytype":"ed25519","keyval":{"public":"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"},"scheme":"ed25519"})";
  EXPECT_EQ(key->key_id(), Digest::of(std::string_view{canonical}).hex());
}

TEST(PublicKey, RefusesWhatIsNoKey) {
  EXPECT_EQ(PublicKey::from_pem("no key").error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(PublicKey::from_pem(std::string(20000, 'x')).error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(PublicKey::from_ed25519(Bytes(31)).error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(PublicKey::from_text("zz").error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(PublicKey::from_der(Bytes{0x30, 0x01}).error().code(), Error::Code::kKeyInvalid);
}

TEST(PublicKey, TellsAnUnknownSchemeFromABrokenKey) {
  const auto unknown =
      Json::parse(R"({"keytype":"sphincs","scheme":"x","keyval":{"public":"00"}})");
  EXPECT_EQ(PublicKey::from_tuf_json(*unknown).error().code(), Error::Code::kUnimplemented);
  const auto broken =
      Json::parse(R"({"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}})");
  EXPECT_EQ(PublicKey::from_tuf_json(*broken).error().code(), Error::Code::kKeyInvalid);
}

TEST(PublicKey, RefusesAKeyUnderAnotherScheme) {
  const auto signer = make_memory_signer(KeyAlgorithm::kEcdsaP256);
  Json json = (*signer)->public_key().to_tuf_json();
  (*json.object())["scheme"] = Json{"ecdsa-sha2-nistp384"};
  EXPECT_EQ(PublicKey::from_tuf_json(json).error().code(), Error::Code::kKeyInvalid);
}

TEST(KeyAlgorithm, NamesRoundTrip) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::kEd25519,
                                       KeyAlgorithm::kEcdsaP256,
                                       KeyAlgorithm::kEcdsaP384,
                                       KeyAlgorithm::kRsaPss}) {
    EXPECT_EQ(*parse_key_algorithm(to_string(algorithm)), algorithm);
  }
  EXPECT_FALSE(parse_key_algorithm("dsa"));
}

}  // namespace
}  // namespace skerry::security
