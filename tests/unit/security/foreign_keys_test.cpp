// Keys that are only verified with: signatures made by OpenSSL alone, as other tools make them.

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "skerry/security/key.hpp"

#include "openssl.hpp"

namespace skerry::security {
namespace {

std::string pem_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  const auto parsed = PublicKey::from_der(ByteView{der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return parsed ? parsed->pem() : parsed.error().to_string();
}

Bytes sign(EVP_PKEY* key, const EVP_MD* md, std::string_view message, bool pss) {
  const MdCtxPtr ctx{EVP_MD_CTX_new()};
  EVP_PKEY_CTX* pkey_ctx = nullptr;
  EXPECT_EQ(EVP_DigestSignInit(ctx.get(), &pkey_ctx, md, nullptr, key), 1);
  if (pss) {
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING), 1);
  }
  std::size_t size = 1024;
  Bytes out(size);
  const auto* data = reinterpret_cast<const unsigned char*>(message.data());
  EXPECT_EQ(EVP_DigestSign(ctx.get(), out.data(), &size, data, message.size()), 1);
  out.resize(size);
  return out;
}

TEST(ForeignKeys, VerifiesEcdsaP384) {
  const PkeyPtr key{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384")};
  const auto parsed = PublicKey::from_pem(pem_of(key.get()));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->algorithm(), KeyAlgorithm::kEcdsaP384);
  const Bytes signature = sign(key.get(), EVP_sha384(), "message", false);
  EXPECT_TRUE(parsed->verify(as_bytes("message"), signature));
  EXPECT_FALSE(parsed->verify(as_bytes("messagE"), signature));
  EXPECT_EQ(*PublicKey::from_tuf_json(parsed->to_tuf_json()), *parsed);
}

TEST(ForeignKeys, VerifiesRsaPssAndNotPkcs1) {
  const PkeyPtr key{EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048})};
  const auto parsed = PublicKey::from_pem(pem_of(key.get()));
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->algorithm(), KeyAlgorithm::kRsaPss);
  EXPECT_TRUE(parsed->verify(as_bytes("message"), sign(key.get(), EVP_sha256(), "message", true)));
  EXPECT_FALSE(
      parsed->verify(as_bytes("message"), sign(key.get(), EVP_sha256(), "message", false)));
  EXPECT_EQ(*PublicKey::from_tuf_json(parsed->to_tuf_json()), *parsed);
}

TEST(ForeignKeys, RefusesWeakAndUnknownKeys) {
  const PkeyPtr weak{EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{1024})};
  EXPECT_NE(pem_of(weak.get()).find("1024 bits"), std::string::npos);
  const PkeyPtr curve{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "secp256k1")};
  EXPECT_NE(pem_of(curve.get()).find("secp256k1"), std::string::npos);
  const PkeyPtr exchange{EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")};
  EXPECT_NE(pem_of(exchange.get()).find("unsupported key type"), std::string::npos);
}

}  // namespace
}  // namespace skerry::security
