#include "chain.hpp"

#include <ctime>
#include <utility>

#include "skerry/common/digest.hpp"

#include "key_access.hpp"

namespace skerry::security::model_signing {

namespace {

using StorePtr = std::unique_ptr<X509_STORE, OpensslDelete<X509_STORE_free>>;
using StoreCtxPtr = std::unique_ptr<X509_STORE_CTX, OpensslDelete<X509_STORE_CTX_free>>;

struct FreeX509Stack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using X509Stack = std::unique_ptr<STACK_OF(X509), FreeX509Stack>;

// 112 bits: no SHA-1, no RSA below 2048 bits anywhere in the chain.
constexpr int kSecurityLevel = 2;

Error refused_chain(std::string message) {
  return Error{Error::Code::kCertificateInvalid, std::move(message)};
}

Result<X509Ptr> parse_certificate(const Bytes& der) {
  const unsigned char* cursor = der.data();
  X509Ptr x509{d2i_X509(nullptr, &cursor, static_cast<long>(der.size()))};
  if (x509 == nullptr || cursor != der.data() + der.size()) {
    return openssl_error(Error::Code::kCertificateInvalid, "not a certificate in DER form");
  }
  return x509;
}

std::string subject_of(const X509* x509) {
  const BioPtr bio = write_bio();
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(x509), 0, XN_FLAG_RFC2253);
  return bio_text(bio.get());
}

std::time_t seconds_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

// OMS 4.1 and its conformance suite: the leaf is for code signing, and where it says what its key
// is used for, that is digital signatures.
Result<void> check_usage(X509* leaf) {
  const std::uint32_t flags = X509_get_extension_flags(leaf);
  if ((flags & EXFLAG_INVALID) != 0) {
    return refused_chain("'" + subject_of(leaf) + "' has broken extensions");
  }
  if ((flags & EXFLAG_XKUSAGE) == 0 || (X509_get_extended_key_usage(leaf) & XKU_CODE_SIGN) == 0) {
    return refused_chain("'" + subject_of(leaf) +
                         "' may not sign models: its extended key usage lacks code signing");
  }
  if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE) == 0) {
    return refused_chain("'" + subject_of(leaf) +
                         "' may not sign models: its key usage lacks digital signature");
  }
  return {};
}

Result<void> check_validity(const X509* x509, WallTime now) {
  std::time_t seconds = seconds_of(now);
  if (X509_cmp_time(X509_get0_notBefore(x509), &seconds) > 0) {
    return refused_chain("'" + subject_of(x509) + "' is not valid yet; it is now " +
                         to_rfc3339(now));
  }
  if (X509_cmp_time(X509_get0_notAfter(x509), &seconds) < 0) {
    return refused_chain("'" + subject_of(x509) + "' has expired; it is now " + to_rfc3339(now));
  }
  return {};
}

Result<VerifyKey> key_of(X509* leaf) {
  EVP_PKEY* native = X509_get0_pubkey(leaf);
  if (native == nullptr) {
    return openssl_error(Error::Code::kCertificateInvalid, "a certificate without a usable key");
  }
  auto key = KeyAccess::from_native(native);
  if (!key) {
    return refused_chain("'" + subject_of(leaf) + "': " + key.error().message());
  }
  return key;
}

Result<VerifyKey> check_parsed_leaf(X509* leaf, WallTime now) {
  if (auto valid = check_validity(leaf, now); !valid) {
    return valid.error();
  }
  if (auto usage = check_usage(leaf); !usage) {
    return usage.error();
  }
  return key_of(leaf);
}

Result<StorePtr> store_of(const TrustAnchors& anchors) {
  StorePtr store{X509_STORE_new()};
  for (const Bytes& der : anchors.der()) {
    auto anchor = parse_certificate(der);
    if (!anchor) {
      return anchor.error().with_context("anchor");
    }
    if (X509_STORE_add_cert(store.get(), anchor->get()) != 1) {
      return openssl_error(Error::Code::kInternal, "adding an anchor");
    }
  }
  return store;
}

Error chain_error(X509_STORE_CTX* ctx) {
  const int code = X509_STORE_CTX_get_error(ctx);
  const X509* at = X509_STORE_CTX_get_current_cert(ctx);
  std::string message = "the certificate chain is refused: ";
  message += X509_verify_cert_error_string(code);
  if (at != nullptr) {
    message += " ('" + subject_of(at) + "')";
  }
  if (code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
      code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
      code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT) {
    message += "; it ends at none of the given anchors";
  }
  ERR_clear_error();
  return refused_chain(std::move(message));
}

}  // namespace

Result<VerifyKey> check_leaf(const Bytes& der, WallTime now) {
  const auto leaf = parse_certificate(der);
  if (!leaf) {
    return leaf.error();
  }
  return check_parsed_leaf(leaf->get(), now);
}

Result<VerifyKey> leaf_key(const Bytes& der) {
  const auto leaf = parse_certificate(der);
  if (!leaf) {
    return leaf.error();
  }
  return key_of(leaf->get());
}

Result<VerifiedLeaf> verify_chain(const std::vector<Bytes>& chain,
                                  const TrustAnchors& anchors,
                                  WallTime now) {
  // Without anchors nothing is trusted; the system's store is no substitute.
  if (anchors.size() == 0) {
    return refused_chain("no trust anchor was given");
  }
  if (chain.empty()) {
    return refused_chain("there is no certificate");
  }
  const auto leaf = parse_certificate(chain.front());
  if (!leaf) {
    return leaf.error();
  }
  auto key = check_parsed_leaf(leaf->get(), now);
  if (!key) {
    return std::move(key).error();
  }
  const X509Stack others{sk_X509_new_null()};
  for (std::size_t i = 1; i < chain.size(); ++i) {
    auto certificate = parse_certificate(chain[i]);
    if (!certificate) {
      return certificate.error();
    }
    sk_X509_push(others.get(), certificate->release());
  }
  const auto store = store_of(anchors);
  if (!store) {
    return store.error();
  }
  const StoreCtxPtr ctx{X509_STORE_CTX_new()};
  if (X509_STORE_CTX_init(ctx.get(), store->get(), leaf->get(), others.get()) != 1) {
    return openssl_error(Error::Code::kInternal, "preparing a chain check");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
  // OMS 8.2: validity is judged by the clock, never by a time that the certificate chooses.
  X509_VERIFY_PARAM_set_time(param, seconds_of(now));
  X509_VERIFY_PARAM_set_auth_level(param, kSecurityLevel);
  // An anchor is what the administrator named, be it a root, an intermediate or the leaf itself.
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_verify_cert(ctx.get()) != 1) {
    return chain_error(ctx.get());
  }
  const STACK_OF(X509)* verified = X509_STORE_CTX_get0_chain(ctx.get());
  X509* anchor = sk_X509_value(verified, sk_X509_num(verified) - 1);
  SignedBy signer;
  signer.method = "certificate";
  signer.algorithm = key->algorithm();
  signer.key_hint = key->hint();
  signer.subject = subject_of(leaf->get());
  signer.certificate_sha256 = Digest::of(ByteView{chain.front()}).hex();
  signer.anchor = subject_of(anchor);
  unsigned char* der = nullptr;
  const int size = i2d_X509(anchor, &der);
  if (size > 0) {
    signer.anchor_sha256 = Digest::of(ByteView{der, static_cast<std::size_t>(size)}).hex();
    OPENSSL_free(der);
  }
  return VerifiedLeaf{std::move(*key), std::move(signer)};
}

}  // namespace skerry::security::model_signing
