#pragma once

// Owning pointers for OpenSSL objects, and its error queue as text. Private to security/.

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "skerry/common/bytes.hpp"
#include "skerry/common/error.hpp"

namespace skerry::security {

template <auto Free>
struct OpensslDelete {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

using PkeyPtr = std::unique_ptr<EVP_PKEY, OpensslDelete<EVP_PKEY_free>>;
using PkeyCtxPtr = std::unique_ptr<EVP_PKEY_CTX, OpensslDelete<EVP_PKEY_CTX_free>>;
using MdCtxPtr = std::unique_ptr<EVP_MD_CTX, OpensslDelete<EVP_MD_CTX_free>>;
using BioPtr = std::unique_ptr<BIO, OpensslDelete<BIO_free_all>>;
using X509Ptr = std::unique_ptr<X509, OpensslDelete<X509_free>>;
using X509ReqPtr = std::unique_ptr<X509_REQ, OpensslDelete<X509_REQ_free>>;
using X509ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDelete<X509_EXTENSION_free>>;
using GeneralNamesPtr = std::unique_ptr<GENERAL_NAMES, OpensslDelete<GENERAL_NAMES_free>>;

// The oldest error of this thread's queue, which is then emptied: "<what>: <reason>".
Error openssl_error(Error::Code code, std::string_view what);

// A memory BIO that reads `text`, which must outlive it.
BioPtr read_bio(std::string_view text);
BioPtr write_bio();
std::string bio_text(BIO* bio);

}  // namespace skerry::security
