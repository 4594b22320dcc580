#pragma once

// Keys, certificates and models for the tests of model signing, in security and cli. Certificates
// are made here with OpenSSL, so that a chain can be wrong in every way.

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "skerry/common/clock.hpp"
#include "skerry/security/model_signing/keys.hpp"

#include "temp_dir.hpp"

namespace skerry::security::model_signing::test {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeX509 {
  void operator()(X509* x509) const { X509_free(x509); }
};

inline std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

// An EC key pair on a named curve.
struct KeyPair {
  explicit KeyPair(const char* curve) : key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve)) {}

  [[nodiscard]] std::string private_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return text_of(bio);
  }
  [[nodiscard]] std::string public_pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key.get());
    return text_of(bio);
  }
  [[nodiscard]] SigningKey signing() const {
    auto out = SigningKey::from_pem(private_pem());
    EXPECT_TRUE(out);
    return std::move(*out);
  }
  [[nodiscard]] VerifyKey verify() const {
    auto out = VerifyKey::from_bytes(public_pem());
    EXPECT_TRUE(out);
    return std::move(*out);
  }

  std::unique_ptr<EVP_PKEY, FreeKey> key;
};

struct CertificateSpec {
  std::string name;
  bool ca = false;
  // Extension values in OpenSSL's notation; none where empty.
  std::string key_usage = "critical,digitalSignature";
  std::string extended_key_usage = "codeSigning";
  // Relative to `kNow`.
  int days_before = -10;
  int days_after = 10;
};

inline WallTime test_now() {
  return parse_rfc3339("2026-11-22T12:00:00Z").value_or(WallTime{});
}

struct TestCertificate {
  std::unique_ptr<X509, FreeX509> x509;

  [[nodiscard]] Bytes der() const {
    unsigned char* data = nullptr;
    const int size = i2d_X509(x509.get(), &data);
    Bytes out(data, data + size);
    OPENSSL_free(data);
    return out;
  }
  [[nodiscard]] std::string pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509.get());
    return text_of(bio);
  }
  [[nodiscard]] TrustAnchors anchor() const {
    TrustAnchors anchors;
    EXPECT_TRUE(anchors.add_pem(pem()));
    return anchors;
  }
};

inline void add_extension(X509* x509, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) {
    return;
  }
  X509V3_CTX ctx{};
  X509V3_set_ctx(&ctx, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &ctx, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
}

// Self-signed where there is no issuer.
inline TestCertificate issue(const CertificateSpec& spec,
                             const KeyPair& subject,
                             const KeyPair& issuer_key,
                             const TestCertificate* issuer = nullptr) {
  static long serial = 1;
  TestCertificate out{std::unique_ptr<X509, FreeX509>{X509_new()}};
  X509* x509 = out.x509.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
  const auto start =
      std::chrono::duration_cast<std::chrono::seconds>(test_now().time_since_epoch()).count();
  constexpr long kDay = 86400;
  ASN1_TIME_set(X509_getm_notBefore(x509), start + spec.days_before * kDay);
  ASN1_TIME_set(X509_getm_notAfter(x509), start + spec.days_after * kDay);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509),
                             "CN",
                             MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(spec.name.c_str()),
                             -1,
                             -1,
                             0);
  X509* signer = issuer == nullptr ? x509 : issuer->x509.get();
  X509_set_issuer_name(x509, X509_get_subject_name(signer));
  X509_set_pubkey(x509, subject.key.get());
  add_extension(x509, signer, NID_basic_constraints, spec.ca ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(x509, signer, NID_subject_key_identifier, "hash");
  add_extension(x509, signer, NID_key_usage, spec.key_usage);
  add_extension(x509, signer, NID_ext_key_usage, spec.extended_key_usage);
  X509_sign(x509, issuer_key.key.get(), EVP_sha256());
  return out;
}

// A folder that a test fills with files.
class ModelFolder {
 public:
  ModelFolder() { std::filesystem::create_directory(path()); }

  [[nodiscard]] std::filesystem::path path() const { return dir_ / "model"; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const {
    return path() / name;
  }
  void write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path() / name).parent_path());
    std::ofstream{path() / name, std::ios::binary} << content;
  }

 private:
  skerry::test::TempDir dir_;
};

}  // namespace skerry::security::model_signing::test
