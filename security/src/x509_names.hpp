#pragma once

// Subject alternative names between OpenSSL and `CertificateNames`. Private to security/.

#include "skerry/common/result.hpp"
#include "skerry/security/certificate.hpp"

#include "openssl.hpp"

namespace skerry::security {

// kInvalidArgument for a name that is empty, too long, or not of its kind.
Result<GeneralNamesPtr> encode_names(const CertificateNames& names);

struct DecodedNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
};

DecodedNames decode_names(const GENERAL_NAMES* names);

// The common name of a subject as UTF-8; empty if there is none.
std::string common_name_of(const X509_NAME* name);

// Sets CN. kInvalidArgument for one that is empty or longer than 64 bytes.
Result<void> set_common_name(X509_NAME* name, std::string_view common_name);

}  // namespace skerry::security
