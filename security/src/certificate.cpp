#include "skerry/security/certificate.hpp"

#include <ctime>
#include <utility>

#include <openssl/pem.h>

#include "key_access.hpp"
#include "openssl.hpp"
#include "x509_access.hpp"
#include "x509_names.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxPem = 64U << 10U;

Error bad_certificate(std::string message) {
  return Error{Error::Code::kCertificateInvalid, std::move(message)};
}

Result<WallTime> wall_time(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) {
    return openssl_error(Error::Code::kCertificateInvalid, "a date that cannot be read");
  }
  return WallTime{std::chrono::seconds{timegm(&tm)}};
}

}  // namespace

struct Certificate::Impl {
  X509Ptr x509;
  PublicKey key;
  WallTime not_before;
  WallTime not_after;
  DecodedNames names;
  bool ca = false;
};

Result<Certificate> X509Access::from_native(X509Ptr x509) {
  EVP_PKEY* native = X509_get0_pubkey(x509.get());
  if (native == nullptr) {
    return openssl_error(Error::Code::kCertificateInvalid, "a certificate without a usable key");
  }
  auto key = PublicKeyAccess::from_native(native);
  if (!key) {
    return bad_certificate(key.error().message());
  }
  auto not_before = wall_time(X509_get0_notBefore(x509.get()));
  if (!not_before) {
    return std::move(not_before).error();
  }
  auto not_after = wall_time(X509_get0_notAfter(x509.get()));
  if (!not_after) {
    return std::move(not_after).error();
  }
  const GeneralNamesPtr sans{static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(x509.get(), NID_subject_alt_name, nullptr, nullptr))};
  DecodedNames names = decode_names(sans.get());
  const bool ca = X509_check_ca(x509.get()) == 1;
  ERR_clear_error();
  return Certificate{std::make_shared<const Certificate::Impl>(Certificate::Impl{
      std::move(x509), std::move(*key), *not_before, *not_after, std::move(names), ca})};
}

X509* X509Access::native(const Certificate& certificate) {
  return certificate.impl_->x509.get();
}

Result<Certificate> Certificate::from_pem(std::string_view pem) {
  if (pem.size() > kMaxPem) {
    return bad_certificate("a certificate PEM of more than 64 KiB");
  }
  const BioPtr bio = read_bio(pem);
  X509Ptr x509{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
  if (x509 == nullptr) {
    return openssl_error(Error::Code::kCertificateInvalid, "not a certificate in PEM form");
  }
  return X509Access::from_native(std::move(x509));
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem) {
  constexpr std::size_t kMaxCertificates = 16;
  if (pem.size() > kMaxPem) {
    return bad_certificate("certificates of more than 64 KiB");
  }
  const BioPtr bio = read_bio(pem);
  std::vector<Certificate> found;
  while (X509Ptr x509{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (found.size() == kMaxCertificates) {
      return bad_certificate("more than 16 certificates");
    }
    auto one = X509Access::from_native(std::move(x509));
    if (!one) {
      return one.error();
    }
    found.push_back(std::move(*one));
  }
  // The end of the text shows as "no start line"; anything else is damage.
  if (found.empty() || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
    return openssl_error(Error::Code::kCertificateInvalid, "not certificates in PEM form");
  }
  ERR_clear_error();
  return found;
}

Result<Certificate> Certificate::from_der(ByteView der) {
  if (der.size() > kMaxPem) {
    return bad_certificate("a certificate of more than 64 KiB");
  }
  const unsigned char* cursor = der.data();
  X509Ptr x509{d2i_X509(nullptr, &cursor, static_cast<long>(der.size()))};
  if (x509 == nullptr || cursor != der.data() + der.size()) {
    return openssl_error(Error::Code::kCertificateInvalid, "not a certificate in DER form");
  }
  return X509Access::from_native(std::move(x509));
}

std::string Certificate::pem() const {
  const BioPtr bio = write_bio();
  PEM_write_bio_X509(bio.get(), impl_->x509.get());
  return bio_text(bio.get());
}

Bytes Certificate::der() const {
  unsigned char* data = nullptr;
  const int size = i2d_X509(impl_->x509.get(), &data);
  Bytes out;
  if (size > 0) {
    out.assign(data, data + size);
    OPENSSL_free(data);
  }
  return out;
}

const PublicKey& Certificate::public_key() const {
  return impl_->key;
}

Digest Certificate::fingerprint() const {
  return Digest::of(ByteView{der()});
}

std::string Certificate::serial_hex() const {
  const ASN1_INTEGER* serial = X509_get0_serialNumber(impl_->x509.get());
  return to_hex(ByteView{ASN1_STRING_get0_data(serial),
                         static_cast<std::size_t>(ASN1_STRING_length(serial))});
}

std::string Certificate::common_name() const {
  return common_name_of(X509_get_subject_name(impl_->x509.get()));
}

WallTime Certificate::not_before() const {
  return impl_->not_before;
}

WallTime Certificate::not_after() const {
  return impl_->not_after;
}

bool Certificate::is_ca() const {
  return impl_->ca;
}

std::vector<std::string> Certificate::dns_names() const {
  return impl_->names.dns_names;
}

std::vector<std::string> Certificate::ip_addresses() const {
  return impl_->names.ip_addresses;
}

Result<SpiffeId> Certificate::identity() const {
  if (impl_->names.uris.size() != 1) {
    return bad_certificate("the certificate of '" + common_name() + "' has " +
                           std::to_string(impl_->names.uris.size()) +
                           " URI names; exactly one spiffe:// identity is required");
  }
  return SpiffeId::parse(impl_->names.uris.front());
}

bool Certificate::renewal_due(WallTime now) const {
  return now - impl_->not_before >= (impl_->not_after - impl_->not_before) / 2;
}

Result<void> Certificate::verify(const Certificate& ca, WallTime now) const {
  if (auto signature = verify_signature(ca); !signature) {
    return signature;
  }
  for (const Certificate* one : {this, &ca}) {
    if (now < one->not_before()) {
      return bad_certificate("the certificate of '" + one->common_name() +
                             "' is not valid before " + to_rfc3339(one->not_before()) +
                             "; it is now " + to_rfc3339(now));
    }
    if (now > one->not_after()) {
      return bad_certificate("the certificate of '" + one->common_name() + "' ended at " +
                             to_rfc3339(one->not_after()) + "; it is now " + to_rfc3339(now));
    }
  }
  return {};
}

Result<void> Certificate::verify_signature(const Certificate& ca) const {
  if (!ca.is_ca()) {
    return bad_certificate("'" + ca.common_name() + "' is no certificate authority");
  }
  const int issued = X509_check_issued(ca.impl_->x509.get(), impl_->x509.get());
  auto* ca_key = static_cast<EVP_PKEY*>(ca.public_key().native());
  const int verified = issued == X509_V_OK ? X509_verify(impl_->x509.get(), ca_key) : 0;
  ERR_clear_error();
  if (verified != 1) {
    return bad_certificate("the certificate of '" + common_name() + "' was not issued by '" +
                           ca.common_name() + "'");
  }
  return {};
}

}  // namespace skerry::security
