#include "skerry/security/chunked_encryption.hpp"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "skerry/common/random.hpp"
#include "skerry/security/key_wrap.hpp"

#include "key_schemes.hpp"

namespace skerry::security {
namespace {

Bytes hex(std::string_view text) {
  auto bytes = from_hex(text == "-" ? "" : text);
  EXPECT_TRUE(bytes) << text;
  return bytes.value_or(Bytes{});
}

// "00ff*3,aa": the byte ff three times; runs stand alone between commas.
Bytes message_of(const std::string& text) {
  Bytes all;
  std::istringstream parts{text == "-" ? "" : text};
  for (std::string part; std::getline(parts, part, ',');) {
    const auto star = part.find('*');
    const Bytes bytes = hex(part.substr(0, star));
    const std::size_t times = star == std::string::npos ? 1 : std::stoul(part.substr(star + 1));
    for (std::size_t i = 0; i < times; ++i) {
      all.insert(all.end(), bytes.begin(), bytes.end());
    }
  }
  return all;
}

std::string sha512(ByteView bytes) {
  std::array<std::uint8_t, 64> out{};
  EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha512(), nullptr);
  return to_hex(out);
}

Bytes random_plain(std::size_t size) {
  Bytes bytes(size);
  FakeRandom random{size + 1};
  random.fill(bytes);
  return bytes;
}

const Bytes& test_key() {
  static const Bytes key = random_plain(ChunkedMessage::kKey);
  return key;
}

TEST(ChunkedEncryptionTest, DecidesTheVectorsAsTheyAreMarked) {
  std::ifstream vectors{SKERRY_CHUNKED_VECTORS};
  ASSERT_TRUE(vectors);
  int valid = 0;
  int invalid = 0;
  for (std::string line; std::getline(vectors, line);) {
    if (line.starts_with('#')) {
      continue;
    }
    std::istringstream fields{line};
    std::string id, result, key, context, message, size, digest;
    fields >> id >> result >> key >> context >> message >> size >> digest;
    ASSERT_FALSE(digest.empty()) << line;
    SCOPED_TRACE("case " + id);
    const auto plain = open_message(hex(key), hex(context), message_of(message));
    ASSERT_EQ(static_cast<bool>(plain), result == "valid");
    if (plain) {
      EXPECT_EQ(plain->size(), std::stoul(size));
      EXPECT_EQ(sha512(*plain), digest);
      ++valid;
    } else {
      ++invalid;
    }
  }
  EXPECT_EQ(valid, 6);
  EXPECT_EQ(invalid, 18);
}

TEST(ChunkedEncryptionTest, EverySizeAroundAChunkComesBack) {
  for (const std::size_t size :
       {0U, 1U, 16383U, 16384U, 16385U, 32767U, 32768U, 32769U, 262144U, 262145U}) {
    const auto plain = random_plain(size);
    const auto sealed = seal_message(test_key(), as_bytes("test"), plain);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->size(), ChunkedMessage::sealed_size(size));
    EXPECT_EQ(*ChunkedMessage::plain_size(sealed->size()), size);
    const auto back = open_message(test_key(), as_bytes("test"), *sealed);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(*back, plain);
  }
}

TEST(ChunkedEncryptionTest, NoBitMayChange) {
  const auto plain = random_plain(16384 + 40);
  const auto sealed = *seal_message(test_key(), {}, plain);
  for (const std::size_t at : std::initializer_list<std::size_t>{
           0, 23, 24, 55, 56, 9000, 16455, 16456, sealed.size() - 1}) {
    auto changed = sealed;
    changed[at] ^= 0x10U;
    const auto back = open_message(test_key(), {}, changed);
    ASSERT_FALSE(back) << at;
    EXPECT_EQ(
        back.error().code(),
        at < ChunkedMessage::kHeader ? Error::Code::kKeyInvalid : Error::Code::kDigestMismatch);
  }
}

TEST(ChunkedEncryptionTest, AMessageThatWasCutIsKnown) {
  const auto sealed = *seal_message(test_key(), {}, random_plain(3 * 16384));
  for (std::size_t size = 0; size < sealed.size(); size += 97) {
    EXPECT_FALSE(open_message(test_key(), {}, ByteView{sealed}.first(size))) << size;
  }
  // Whole chunks alone are no whole message.
  EXPECT_FALSE(ChunkedMessage::plain_size(ChunkedMessage::offset_of(3)));
}

TEST(ChunkedEncryptionTest, EachMessageHasASaltOfItsOwn) {
  const auto plain = random_plain(100);
  const auto first = *seal_message(test_key(), {}, plain);
  const auto second = *seal_message(test_key(), {}, plain);
  EXPECT_NE(first, second);
  EXPECT_FALSE(open_message(test_key(), as_bytes("another use"), first));
}

TEST(ChunkedEncryptionTest, ChunksAreSealedAndOpenedInAnyOrder) {
  const auto plain = random_plain(5 * 16384 + 7);
  const auto message = *ChunkedMessage::create(test_key(), {});
  Bytes sealed(ChunkedMessage::sealed_size(plain.size()));
  std::copy(message.header().begin(), message.header().end(), sealed.begin());
  for (const std::uint64_t chunk : {5U, 2U, 0U, 4U, 1U, 3U}) {
    const auto piece = ByteView{plain}.subspan(chunk * 16384, chunk == 5 ? 7 : 16384);
    const auto out = std::span{sealed}.subspan(ChunkedMessage::offset_of(chunk), piece.size() + 16);
    ASSERT_TRUE(message.seal(chunk, piece, out));
  }
  EXPECT_EQ(*open_message(test_key(), {}, sealed), plain);
  // A chunk opens at its own place alone.
  Bytes piece(16384);
  const auto third = ByteView{sealed}.subspan(ChunkedMessage::offset_of(3), 16400);
  EXPECT_TRUE(message.unseal(3, third, piece));
  EXPECT_FALSE(message.unseal(2, third, piece));
}

// A P-256 key of its private number.
std::unique_ptr<Signer> signer_of(std::string_view scalar, std::string_view point) {
  // ECPrivateKey (RFC 5915) in DER.
  const auto der = hex("30770201010420" + std::string{scalar} +
                       "a00a06082a8648ce3d030107a144034200" + std::string{point});
  const unsigned char* at = der.data();
  PkeyPtr key{d2i_PrivateKey(EVP_PKEY_EC, nullptr, &at, static_cast<long>(der.size()))};
  auto signer = make_openssl_signer(std::move(key));
  EXPECT_TRUE(signer);
  return std::move(*signer);
}

// test-vectors.json of the CFRG's HPKE draft (RFC 9180): mode 0, kem 0x0010, kdf 1, aead 2.
TEST(KeyWrapTest, OpensTheVectorOfTheSpecification) {
  const auto key = signer_of(
      "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2",
      "04abc7e49a4c6b3566d77d0304addc6ed0e98512ffccf505e6a8e3eb25c685136f853148544876de76c0f2ef99cd"
      "c3a05ccf5ded7860c7c021238f9e2073d2356c");
  const auto enc = hex(
      "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e0b21bd31a86c6048af3cb2d98e"
      "0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0");
  const auto sealed = hex(
      "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f");
  const auto plain =
      hpke_open(*key, enc, as_bytes("Ode on a Grecian Urn"), as_bytes("Count-0"), sealed);
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(as_text(*plain), "Beauty is truth, truth beauty");
}

TEST(KeyWrapTest, OnlyTheKeyItWasWrappedToUnwrapsIt) {
  const auto key = *make_memory_signer(KeyAlgorithm::kEcdsaP256);
  const auto other = *make_memory_signer(KeyAlgorithm::kEcdsaP256);
  const auto wrapped = *wrap_secret(key->public_key(), test_key(), "test");
  EXPECT_EQ(wrapped.size(), test_key().size() + kWrapOverhead);
  EXPECT_EQ(*unwrap_secret(*key, wrapped, "test"), test_key());
  EXPECT_EQ(unwrap_secret(*other, wrapped, "test").error().code(), Error::Code::kKeyInvalid);
  EXPECT_EQ(unwrap_secret(*key, wrapped, "another use").error().code(), Error::Code::kKeyInvalid);
  for (std::size_t at = 0; at < wrapped.size(); ++at) {
    auto changed = wrapped;
    changed[at] ^= 1U;
    EXPECT_FALSE(unwrap_secret(*key, changed, "test")) << at;
    EXPECT_FALSE(unwrap_secret(*key, ByteView{wrapped}.first(at), "test")) << at;
  }
  EXPECT_NE(wrapped, *wrap_secret(key->public_key(), test_key(), "test"));
}

TEST(KeyWrapTest, AKeyThatCannotAgreeIsRefused) {
  const auto key = *make_memory_signer(KeyAlgorithm::kEd25519);
  EXPECT_EQ(wrap_secret(key->public_key(), test_key(), "test").error().code(),
            Error::Code::kKeyInvalid);
}

}  // namespace
}  // namespace skerry::security
