#pragma once

// A PKCS#11 token: what a `pkcs11:` URI says of it, and the two things that OpenSSL's engine does
// not do, making a key and listing the keys. Private to security/; used by pkcs11_key.cpp.

#include <string>
#include <vector>

#include "key_schemes.hpp"

namespace skerry::security {

// `pkcs11:token=…;object=…?module-path=…[&pin-source=…]`, RFC 7512.
struct Pkcs11Place {
  std::string uri;     // the path part only: never a PIN
  std::string module;  // the shared library
  Secret pin;          // empty if the URI names no file

  // kInvalidArgument for a URI without `module-path` or with other attributes;
  // what reading the PIN's file fails with.
  static Result<Pkcs11Place> parse(FileSystem& fs, const KeyUri& uri);
};

// Makes an ECDSA P-256 key pair on the token, sensitive and not extractable. kAlreadyExists if an
// object of that name and kind is there, kNotFound without such a token, kPermissionDenied for a
// wrong PIN, kUnavailable if the module does not load.
Result<void> make_token_key(const Pkcs11Place& place);
// The path parts of the URIs of its EC private keys, sorted.
Result<std::vector<std::string>> list_token(const Pkcs11Place& place);

}  // namespace skerry::security
