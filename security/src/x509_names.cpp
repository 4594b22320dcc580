#include "x509_names.hpp"

#include <array>
#include <utility>

#include <arpa/inet.h>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxNames = 64;

Error bad_name(std::string_view kind, std::string_view name) {
  return Error{Error::Code::kInvalidArgument,
               "'" + std::string{name.substr(0, kMaxName)} + "' is no valid " + std::string{kind}};
}

bool valid_dns(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' && name.front() != '-' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") ==
             std::string_view::npos;
}

Result<void> push_text(GENERAL_NAMES* names, int type, std::string_view text) {
  GENERAL_NAME* name = GENERAL_NAME_new();
  ASN1_IA5STRING* value = ASN1_IA5STRING_new();
  if (name == nullptr || value == nullptr ||
      ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) != 1) {
    ASN1_IA5STRING_free(value);
    GENERAL_NAME_free(name);
    return openssl_error(Error::Code::kInternal, "encoding a name");
  }
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
  return {};
}

Result<void> push_ip(GENERAL_NAMES* names, const std::string& text) {
  ASN1_OCTET_STRING* value = a2i_IPADDRESS(text.c_str());
  if (value == nullptr) {
    ERR_clear_error();
    return bad_name("IP address", text);
  }
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, GEN_IPADD, value);
  sk_GENERAL_NAME_push(names, name);
  return {};
}

std::string text_of(const ASN1_STRING* value) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
          static_cast<std::size_t>(ASN1_STRING_length(value))};
}

std::string ip_text(const ASN1_OCTET_STRING* value) {
  const int size = ASN1_STRING_length(value);
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (size != 4 && size != 16) {
    return {};
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, ASN1_STRING_get0_data(value), text.data(), text.size()) == nullptr
             ? std::string{}
             : std::string{text.data()};
}

}  // namespace

Result<GeneralNamesPtr> encode_names(const CertificateNames& names) {
  if (names.dns_names.size() + names.ip_addresses.size() > kMaxNames) {
    return Error{Error::Code::kInvalidArgument, "more than 64 names in a certificate"};
  }
  GeneralNamesPtr out{sk_GENERAL_NAME_new_null()};
  if (!names.spiffe_id.empty()) {
    if (auto id = SpiffeId::parse(names.spiffe_id); !id) {
      return Error{Error::Code::kInvalidArgument, id.error().message()};
    }
    if (auto pushed = push_text(out.get(), GEN_URI, names.spiffe_id); !pushed) {
      return pushed.error();
    }
  }
  for (const std::string& dns : names.dns_names) {
    if (!valid_dns(dns)) {
      return bad_name("DNS name", dns);
    }
    if (auto pushed = push_text(out.get(), GEN_DNS, dns); !pushed) {
      return pushed.error();
    }
  }
  for (const std::string& ip : names.ip_addresses) {
    if (auto pushed = push_ip(out.get(), ip); !pushed) {
      return pushed.error();
    }
  }
  return out;
}

DecodedNames decode_names(const GENERAL_NAMES* names) {
  DecodedNames out;
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names);
  for (int i = 0; i < count; ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
    if (type == GEN_URI) {
      out.uris.push_back(text_of(static_cast<const ASN1_STRING*>(value)));
    } else if (type == GEN_DNS) {
      out.dns_names.push_back(text_of(static_cast<const ASN1_STRING*>(value)));
    } else if (type == GEN_IPADD) {
      out.ip_addresses.push_back(ip_text(static_cast<const ASN1_OCTET_STRING*>(value)));
    }
  }
  return out;
}

std::string common_name_of(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0) {
    return {};
  }
  unsigned char* utf8 = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
  if (size < 0) {
    ERR_clear_error();
    return {};
  }
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

Result<void> set_common_name(X509_NAME* name, std::string_view common_name) {
  constexpr std::size_t kMaxCommonName = 64;
  if (common_name.empty() || common_name.size() > kMaxCommonName || !is_utf8(common_name)) {
    return bad_name("common name (1 to 64 bytes of UTF-8)", common_name);
  }
  if (X509_NAME_add_entry_by_txt(name,
                                 "CN",
                                 MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()),
                                 -1,
                                 0) != 1) {
    return openssl_error(Error::Code::kInvalidArgument, "setting the common name");
  }
  return {};
}

}  // namespace skerry::security
