#include "skerry/security/checkpoint.hpp"

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    checkpoint_.origin = "skerry.audit/gw-17";
    checkpoint_.size = 4711;
    checkpoint_.root = Digest::of("root");
    note_ = *sign_checkpoint(checkpoint_, checkpoint_.origin, *key_);
  }
  std::unique_ptr<Signer> key_ = std::move(*make_memory_signer(KeyAlgorithm::kEd25519));
  Checkpoint checkpoint_;
  std::string note_;
};

TEST_F(CheckpointTest, HasTheFormOfC2sp) {
  EXPECT_TRUE(note_.starts_with("skerry.audit/gw-17\n4711\n" + to_base64(checkpoint_.root.bytes()) +
                                "\n\n\xe2\x80\x94 skerry.audit/gw-17 "));
  EXPECT_EQ(*verify_checkpoint(note_, checkpoint_.origin, key_->public_key()), checkpoint_);
  EXPECT_EQ(*parse_checkpoint(note_), checkpoint_);
}

TEST_F(CheckpointTest, NoFlippedBitVerifies) {
  for (std::size_t i = 0; i < note_.size(); ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::string broken = note_;
      broken[i] = static_cast<char>(static_cast<unsigned char>(broken[i]) ^ (1U << bit));
      EXPECT_FALSE(verify_checkpoint(broken, checkpoint_.origin, key_->public_key()))
          << "byte " << i << " bit " << bit;
    }
  }
}

TEST_F(CheckpointTest, RefusesAnotherKeyAndAnotherName) {
  const auto other = make_memory_signer(KeyAlgorithm::kEd25519);
  EXPECT_FALSE(verify_checkpoint(note_, checkpoint_.origin, (*other)->public_key()));
  EXPECT_FALSE(verify_checkpoint(note_, "skerry.audit/gw-18", key_->public_key()));
}

TEST_F(CheckpointTest, AWitnessCosigns) {
  const auto witness = make_memory_signer(KeyAlgorithm::kEd25519);
  const auto cosigned = cosign_checkpoint(note_, "controller.example", **witness);
  ASSERT_TRUE(cosigned);
  EXPECT_TRUE(verify_checkpoint(*cosigned, checkpoint_.origin, key_->public_key()));
  EXPECT_TRUE(verify_checkpoint(*cosigned, "controller.example", (*witness)->public_key()));
}

TEST_F(CheckpointTest, VerifierKeyRoundTrips) {
  const auto text = note_verifier_key(checkpoint_.origin, key_->public_key());
  ASSERT_TRUE(text);
  const auto parsed = parse_note_verifier_key(*text);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->name, checkpoint_.origin);
  EXPECT_EQ(parsed->key, key_->public_key());
  EXPECT_FALSE(parse_note_verifier_key("a+b"));
  std::string wrong = *text;
  wrong[checkpoint_.origin.size() + 1] ^= 1;
  EXPECT_FALSE(parse_note_verifier_key(wrong));
}

TEST_F(CheckpointTest, RefusesBadNamesAndOtherKeys) {
  EXPECT_FALSE(sign_checkpoint(checkpoint_, "with space", *key_));
  EXPECT_FALSE(sign_checkpoint(checkpoint_, "plus+", *key_));
  const auto ecdsa = make_memory_signer(KeyAlgorithm::kEcdsaP256);
  EXPECT_EQ(sign_checkpoint(checkpoint_, "x", **ecdsa).error().code(), Error::Code::kKeyInvalid);
}

TEST_F(CheckpointTest, RefusesGarbage) {
  for (const std::string& text : {std::string{},
                                  std::string{"\n\n"},
                                  std::string{"a\n1\n"},
                                  std::string(9000, 'a'),
                                  std::string{"a\n\n\xe2\x80\x94 a \n"}}) {
    EXPECT_FALSE(parse_checkpoint(text));
  }
}

}  // namespace
}  // namespace skerry::security
