#pragma once

// Keys as people name them on the command line: a path, a key URI, or (public keys) any text form.
// Used by `skerry keys`, `repo` and `fleet`.

#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/key.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::cli {

// A relative path becomes an absolute `file:` URI; anything with a scheme is taken as it is.
Result<security::KeyUri> key_uri(const std::string& text);

// The public half of a private key, or a file that holds a public key (PEM, hexadecimal, TUF JSON).
Result<security::PublicKey> load_public_key(FileSystem& fs, const std::string& text);
Result<std::vector<security::PublicKey>> load_public_keys(FileSystem& fs,
                                                          const std::vector<std::string>& texts);

// kKeyInvalid, kNotFound … with the text that was given.
Result<std::unique_ptr<security::Signer>> load_signer(FileSystem& fs, const std::string& text);

}  // namespace skerry::cli
