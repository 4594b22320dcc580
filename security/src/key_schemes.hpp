#pragma once

// What the schemes of key URIs share, and what each of them gives to the `SignerFactory`. Private
// to security/: file_key.cpp, tpm_key.cpp, pkcs11_key.cpp and signer.cpp.

#include <mutex>
#include <string>
#include <utility>

#include <openssl/crypto.h>

#include "skerry/security/signer.hpp"

#include "openssl.hpp"

namespace skerry::security {

// Text that is wiped when it goes.
class Secret {
 public:
  explicit Secret(std::string text) : text_(std::move(text)) {}
  ~Secret() { OPENSSL_cleanse(text_.data(), text_.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : text_(std::exchange(other.text_, {})) {}
  Secret& operator=(Secret&&) = delete;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Reads a file that only its owner may read; kPermissionDenied otherwise.
Result<Secret> read_secret(FileSystem& fs, const std::string& path, std::size_t limit);
// The text, without line ends, of the file that `attribute` of `uri` names; empty if it names none.
Result<Secret> passphrase_of(FileSystem& fs, const KeyUri& uri, std::string_view attribute);
// Writes a new file of mode 0600, durable on return; kAlreadyExists rather than replace one.
Result<void> write_new_secret(FileSystem& fs, const std::filesystem::path& path, ByteView content);
// OpenSSL's pem_password_cb; its last argument points to a `Secret`.
int give_passphrase(char* buffer, int size, int writing, void* secret);

// Where a key's operations run. `context` null is OpenSSL's own; `lock`, if any, is held while the
// key works, for hardware that takes one caller at a time. Both outlive the process's signers.
struct KeyHome {
  OSSL_LIB_CTX* context = nullptr;
  const char* properties = nullptr;
  std::mutex* lock = nullptr;
};
// kKeyInvalid unless the key is Ed25519 or ECDSA P-256.
Result<std::unique_ptr<Signer>> make_openssl_signer(PkeyPtr key, const KeyHome& home = {});
// Diffie-Hellman between a key that `make_openssl_signer` made and another of its curve: the X
// coordinate. kUnimplemented for a key that can only sign.
Result<Bytes> agree_secret(const Signer& key, const PublicKey& peer);
// A new key in memory; kInvalidArgument for an algorithm that keys are not made for.
Result<PkeyPtr> generate_key(KeyAlgorithm algorithm);

Result<std::unique_ptr<Signer>> open_file_key(FileSystem& fs, const KeyUri& uri);
Result<std::unique_ptr<Signer>> create_file_key(FileSystem& fs,
                                                const KeyUri& uri,
                                                KeyAlgorithm algorithm);
Result<std::unique_ptr<Signer>> open_tpm_key(FileSystem& fs, const KeyUri& uri);
Result<std::unique_ptr<Signer>> create_tpm_key(FileSystem& fs,
                                               const KeyUri& uri,
                                               KeyAlgorithm algorithm);
Result<std::unique_ptr<Signer>> open_pkcs11_key(FileSystem& fs, const KeyUri& uri);
Result<std::unique_ptr<Signer>> create_pkcs11_key(FileSystem& fs,
                                                  const KeyUri& uri,
                                                  KeyAlgorithm algorithm);

}  // namespace skerry::security
