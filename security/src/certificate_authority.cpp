#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include <openssl/pem.h>
#include <openssl/rand.h>

#include "skerry/security/certificate.hpp"

#include "key_access.hpp"
#include "x509_access.hpp"
#include "x509_names.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxChainPem = 64U << 10U;
constexpr long kX509Version3 = 2;
// A clock a few minutes behind the issuer's must not refuse a fresh certificate.
constexpr std::chrono::seconds kBackdate{std::chrono::minutes{5}};

// Ed25519 signs the bytes themselves and takes no digest.
const EVP_MD* digest_for(const PublicKey& key) {
  return key.algorithm() == KeyAlgorithm::kEd25519 ? nullptr : EVP_sha256();
}

Error no_native_key() {
  return Error{Error::Code::kUnimplemented,
               "certificates are made with keys that OpenSSL can use; this one cannot be"};
}

Result<void> add_extension(X509* x509, X509* issuer, int nid, const char* value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, x509, nullptr, nullptr, 0);
  const X509ExtensionPtr extension{X509V3_EXT_conf_nid(nullptr, &ctx, nid, value)};
  if (extension == nullptr || X509_add_ext(x509, extension.get(), -1) != 1) {
    return openssl_error(Error::Code::kInternal, "adding a certificate extension");
  }
  return {};
}

Result<void> set_serial(X509* x509) {
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) {
    return openssl_error(Error::Code::kInternal, "choosing a serial number");
  }
  // Positive and of full length.
  serial[0] = static_cast<unsigned char>((serial[0] & 0x7fU) | 0x40U);
  BIGNUM* number = BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr);
  const bool ok = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nullptr;
  BN_free(number);
  if (!ok) {
    return openssl_error(Error::Code::kInternal, "setting a serial number");
  }
  return {};
}

Result<void> set_validity(X509* x509, WallTime from, WallTime to) {
  const auto seconds = [](WallTime time) {
    return static_cast<std::time_t>(
        std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count());
  };
  if (ASN1_TIME_set(X509_getm_notBefore(x509), seconds(from)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(x509), seconds(to)) == nullptr) {
    return openssl_error(Error::Code::kInvalidArgument, "setting a certificate's validity");
  }
  return {};
}

// Version, serial, validity, subject, key: what every certificate has.
Result<X509Ptr> begin(const PublicKey& key, std::string_view cn, WallTime from, WallTime to) {
  X509Ptr x509{X509_new()};
  if (x509 == nullptr || X509_set_version(x509.get(), kX509Version3) != 1 ||
      X509_set_pubkey(x509.get(), static_cast<EVP_PKEY*>(key.native())) != 1) {
    return openssl_error(Error::Code::kInternal, "making a certificate");
  }
  if (auto done = set_serial(x509.get()); !done) {
    return done.error();
  }
  if (auto done = set_validity(x509.get(), from, to); !done) {
    return done.error();
  }
  if (auto done = set_common_name(X509_get_subject_name(x509.get()), cn); !done) {
    return done.error();
  }
  return x509;
}

Result<Certificate> finish(X509Ptr x509, const Signer& key) {
  if (X509_sign(x509.get(), static_cast<EVP_PKEY*>(key.native()), digest_for(key.public_key())) <=
      0) {
    return openssl_error(Error::Code::kInternal, "signing a certificate");
  }
  // Read back what was made, so that what is returned is what a peer will see.
  unsigned char* der = nullptr;
  const int size = i2d_X509(x509.get(), &der);
  if (size <= 0) {
    return openssl_error(Error::Code::kInternal, "encoding a certificate");
  }
  auto certificate = Certificate::from_der(ByteView{der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return certificate;
}

}  // namespace

struct CertificateRequest::Impl {
  PublicKey key;
  CertificateNames names;
};

struct RequestAccess {
  static Result<CertificateRequest> from_native(const X509ReqPtr& request);
};

Result<CertificateRequest> RequestAccess::from_native(const X509ReqPtr& request) {
  EVP_PKEY* native = X509_REQ_get0_pubkey(request.get());
  if (native == nullptr) {
    return openssl_error(Error::Code::kCertificateInvalid, "a certificate request without a key");
  }
  auto key = PublicKeyAccess::from_native(native);
  if (!key) {
    return Error{Error::Code::kCertificateInvalid, key.error().message()};
  }
  if (X509_REQ_verify(request.get(), native) != 1) {
    return openssl_error(Error::Code::kCertificateInvalid,
                         "the certificate request is not signed by its own key");
  }
  CertificateNames names;
  names.common_name = common_name_of(X509_REQ_get_subject_name(request.get()));
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  const GeneralNamesPtr sans{static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr))};
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  ERR_clear_error();
  DecodedNames decoded = decode_names(sans.get());
  if (decoded.uris.size() == 1) {
    names.spiffe_id = std::move(decoded.uris.front());
  }
  names.dns_names = std::move(decoded.dns_names);
  names.ip_addresses = std::move(decoded.ip_addresses);
  return CertificateRequest{std::make_shared<const CertificateRequest::Impl>(
      CertificateRequest::Impl{std::move(*key), std::move(names)})};
}

Result<CertificateRequest> CertificateRequest::from_pem(std::string_view pem) {
  if (pem.size() > kMaxChainPem) {
    return Error{Error::Code::kCertificateInvalid, "a certificate request of more than 64 KiB"};
  }
  const BioPtr bio = read_bio(pem);
  X509ReqPtr request{PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr)};
  if (request == nullptr) {
    return openssl_error(Error::Code::kCertificateInvalid, "not a certificate request in PEM form");
  }
  return RequestAccess::from_native(request);
}

Result<CertificateRequest> CertificateRequest::from_der(ByteView der) {
  if (der.size() > kMaxChainPem) {
    return Error{Error::Code::kCertificateInvalid, "a certificate request of more than 64 KiB"};
  }
  const unsigned char* cursor = der.data();
  const X509ReqPtr request{d2i_X509_REQ(nullptr, &cursor, static_cast<long>(der.size()))};
  if (request == nullptr || cursor != der.data() + der.size()) {
    return openssl_error(Error::Code::kCertificateInvalid, "not a certificate request in DER form");
  }
  return RequestAccess::from_native(request);
}

const PublicKey& CertificateRequest::public_key() const {
  return impl_->key;
}

const CertificateNames& CertificateRequest::names() const {
  return impl_->names;
}

namespace {

Result<X509ReqPtr> sign_request(const Signer& key, const CertificateNames& names) {
  auto* native = static_cast<EVP_PKEY*>(key.native());
  if (native == nullptr) {
    return no_native_key();
  }
  X509ReqPtr request{X509_REQ_new()};
  if (request == nullptr || X509_REQ_set_pubkey(request.get(), native) != 1) {
    return openssl_error(Error::Code::kInternal, "making a certificate request");
  }
  if (auto done = set_common_name(X509_REQ_get_subject_name(request.get()), names.common_name);
      !done) {
    return done.error();
  }
  auto sans = encode_names(names);
  if (!sans) {
    return std::move(sans).error();
  }
  if (sk_GENERAL_NAME_num(sans->get()) > 0) {
    STACK_OF(X509_EXTENSION)* extensions = nullptr;
    const bool added =
        X509V3_add1_i2d(&extensions, NID_subject_alt_name, sans->get(), 0, X509V3_ADD_APPEND) ==
            1 &&
        X509_REQ_add_extensions(request.get(), extensions) == 1;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    if (!added) {
      return openssl_error(Error::Code::kInternal, "adding names to a certificate request");
    }
  }
  if (X509_REQ_sign(request.get(), native, digest_for(key.public_key())) <= 0) {
    return openssl_error(Error::Code::kInternal, "signing a certificate request");
  }
  return request;
}

}  // namespace

Result<std::string> make_certificate_request(const Signer& key, const CertificateNames& names) {
  const auto request = sign_request(key, names);
  if (!request) {
    return request.error();
  }
  const BioPtr bio = write_bio();
  PEM_write_bio_X509_REQ(bio.get(), request->get());
  return bio_text(bio.get());
}

Result<Bytes> make_certificate_request_der(const Signer& key, const CertificateNames& names) {
  const auto request = sign_request(key, names);
  if (!request) {
    return request.error();
  }
  unsigned char* data = nullptr;
  const int size = i2d_X509_REQ(request->get(), &data);
  if (size <= 0) {
    return openssl_error(Error::Code::kInternal, "encoding a certificate request");
  }
  Bytes der(data, data + size);
  OPENSSL_free(data);
  return der;
}

Result<CertificateAuthority> CertificateAuthority::create(std::shared_ptr<const Signer> key,
                                                          std::string_view common_name,
                                                          WallTime now,
                                                          std::chrono::hours lifetime) {
  if (key->native() == nullptr) {
    return no_native_key();
  }
  auto x509 = begin(key->public_key(), common_name, now - kBackdate, now + lifetime);
  if (!x509) {
    return std::move(x509).error();
  }
  X509* raw = x509->get();
  if (X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1) {
    return openssl_error(Error::Code::kInternal, "setting the issuer");
  }
  for (const auto& [nid, value] : {std::pair{NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
                                   std::pair{NID_key_usage, "critical,keyCertSign,cRLSign"},
                                   std::pair{NID_subject_key_identifier, "hash"}}) {
    if (auto done = add_extension(raw, raw, nid, value); !done) {
      return done.error();
    }
  }
  auto certificate = finish(std::move(*x509), *key);
  if (!certificate) {
    return std::move(certificate).error();
  }
  return CertificateAuthority{std::move(key), std::move(*certificate)};
}

Result<CertificateAuthority> CertificateAuthority::load(std::shared_ptr<const Signer> key,
                                                        std::string_view certificate_pem) {
  if (key->native() == nullptr) {
    return no_native_key();
  }
  auto certificate = Certificate::from_pem(certificate_pem);
  if (!certificate) {
    return certificate.error().with_context("certificate authority");
  }
  if (!certificate->is_ca() || !(certificate->public_key() == key->public_key())) {
    return Error{
        Error::Code::kCertificateInvalid,
        "the certificate of '" + certificate->common_name() + "' is not the authority of this key"};
  }
  return CertificateAuthority{std::move(key), std::move(*certificate)};
}

Result<Certificate> CertificateAuthority::issue(const PublicKey& subject,
                                                const CertificateGrant& grant) const {
  auto sans = encode_names(grant.names);
  if (!sans) {
    return std::move(sans).error();
  }
  const WallTime to =
      std::min<WallTime>(grant.not_before + grant.lifetime, certificate_.not_after());
  const auto backdate = std::min(kBackdate, grant.lifetime / 10);
  auto x509 = begin(subject, grant.names.common_name, grant.not_before - backdate, to);
  if (!x509) {
    return std::move(x509).error();
  }
  X509* raw = x509->get();
  X509* issuer = X509Access::native(certificate_);
  if (X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1) {
    return openssl_error(Error::Code::kInternal, "setting the issuer");
  }
  const char* use =
      grant.server ? (grant.client ? "serverAuth,clientAuth" : "serverAuth") : "clientAuth";
  for (const auto& [nid, value] : {std::pair{NID_basic_constraints, "critical,CA:FALSE"},
                                   std::pair{NID_key_usage, "critical,digitalSignature"},
                                   std::pair{NID_ext_key_usage, use},
                                   std::pair{NID_subject_key_identifier, "hash"},
                                   std::pair{NID_authority_key_identifier, "keyid"}}) {
    if (auto done = add_extension(raw, issuer, nid, value); !done) {
      return done.error();
    }
  }
  if (sk_GENERAL_NAME_num(sans->get()) > 0 &&
      X509_add1_ext_i2d(raw, NID_subject_alt_name, sans->get(), 0, X509V3_ADD_APPEND) != 1) {
    return openssl_error(Error::Code::kInternal, "adding names to a certificate");
  }
  return finish(std::move(*x509), *key_);
}

Result<Certificate> CertificateAuthority::cross_sign(const Certificate& successor,
                                                     WallTime now) const {
  if (!successor.is_ca() || !successor.verify_signature(successor)) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + successor.common_name() + "' is no authority of its own"};
  }
  const WallTime to = std::min(certificate_.not_after(), successor.not_after());
  auto x509 = begin(successor.public_key(), successor.common_name(), now - kBackdate, to);
  if (!x509) {
    return std::move(x509).error();
  }
  X509* raw = x509->get();
  X509* issuer = X509Access::native(certificate_);
  if (X509_set_issuer_name(raw, X509_get_subject_name(issuer)) != 1) {
    return openssl_error(Error::Code::kInternal, "setting the issuer");
  }
  for (const auto& [nid, value] : {std::pair{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                   std::pair{NID_key_usage, "critical,keyCertSign,cRLSign"},
                                   std::pair{NID_subject_key_identifier, "hash"},
                                   std::pair{NID_authority_key_identifier, "keyid"}}) {
    if (auto done = add_extension(raw, issuer, nid, value); !done) {
      return done.error();
    }
  }
  return finish(std::move(*x509), *key_);
}

}  // namespace skerry::security
