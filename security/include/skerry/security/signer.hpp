#pragma once

// Private keys by URI, so that where a key lives is configuration:
//   file:/etc/skerry/keys/device.pem[?passphrase-file=/path]   PKCS#8 PEM, mode 0600
//   tpm:/etc/skerry/keys/device.tss[?passphrase-file=/path]    wrapped by the TPM 2.0; or tpm:0x81…
//   pkcs11:token=t;object=o?module-path=/lib.so[&pin-source=/path]   RFC 7512
// The last two need tpm2-openssl, and the module with libengine-pkcs11-openssl. Other schemes are
// added to a `SignerFactory`. Used by TUF tools, the CA, the audit log, enrolment.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/security/key.hpp"

namespace skerry::security {

class KeyUri {
 public:
  // kInvalidArgument says what is wrong and shows the accepted forms; a PIN in the text is refused.
  // A bare absolute path is read as `file:`.
  static Result<KeyUri> parse(std::string_view text);

  // "file", "tpm", "pkcs11".
  [[nodiscard]] const std::string& scheme() const noexcept { return scheme_; }
  // What follows the colon, without the query.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  // The value of a query attribute, or empty.
  [[nodiscard]] std::string attribute(std::string_view name) const;
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const KeyUri&, const KeyUri&) = default;

 private:
  std::string scheme_;
  std::string path_;
  std::map<std::string, std::string, std::less<>> attributes_;
};

class Signer {
 public:
  virtual ~Signer() = default;
  [[nodiscard]] virtual const PublicKey& public_key() const = 0;
  // Signs in the form that `PublicKey::verify` checks. Thread-safe; may block while hardware works.
  [[nodiscard]] virtual Result<Bytes> sign(ByteView message) const = 0;
  // The OpenSSL private key (`EVP_PKEY*`) for making certificates, owned by this object; null where
  // the key has none.
  [[nodiscard]] virtual void* native() const noexcept { return nullptr; }
};

class SignerFactory {
 public:
  using Opener = std::function<Result<std::unique_ptr<Signer>>(FileSystem&, const KeyUri&)>;
  using Creator =
      std::function<Result<std::unique_ptr<Signer>>(FileSystem&, const KeyUri&, KeyAlgorithm)>;

  // Knows `file:`, `tpm:` and `pkcs11:`; kUnimplemented for others.
  SignerFactory();
  // Adds or replaces a scheme. Not thread-safe with the calls below.
  void register_scheme(std::string scheme, Opener open, Creator create);

  // kNotFound, kPermissionDenied (also when others may read the file, or for a wrong PIN),
  // kKeyInvalid, kUnavailable without the hardware or its driver.
  Result<std::unique_ptr<Signer>> open(FileSystem& fs, const KeyUri& uri) const;
  // Makes a new key; kAlreadyExists rather than overwrite one. The file is durable on return.
  Result<std::unique_ptr<Signer>> create(FileSystem& fs,
                                         const KeyUri& uri,
                                         KeyAlgorithm algorithm) const;

 private:
  struct Scheme {
    Opener open;
    Creator create;
  };
  std::map<std::string, Scheme, std::less<>> schemes_;
};

// The factory's calls, with the schemes that are built in.
Result<std::unique_ptr<Signer>> make_signer(FileSystem& fs, const KeyUri& uri);
Result<std::unique_ptr<Signer>> create_key(FileSystem& fs,
                                           const KeyUri& uri,
                                           KeyAlgorithm algorithm);
// Opens the key, or makes it when there is none (first start).
Result<std::unique_ptr<Signer>> open_or_create_key(FileSystem& fs,
                                                   const KeyUri& uri,
                                                   KeyAlgorithm algorithm);

// A key that lives only in memory: tests, one-shot requests.
Result<std::unique_ptr<Signer>> make_memory_signer(KeyAlgorithm algorithm);

// The EC keys of a PKCS#11 token, as URIs with the query of `token`, which needs no `object`.
Result<std::vector<KeyUri>> list_token_keys(FileSystem& fs, const KeyUri& token);

// The unencrypted PKCS#8 PEM of a `file:` key, which gRPC's TLS credentials want; kUnimplemented
// for keys that cannot leave their place. Treat the result as a secret.
Result<std::string> private_key_pem(FileSystem& fs, const KeyUri& uri);

}  // namespace skerry::security
