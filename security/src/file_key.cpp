// Keys in files: PKCS#8 PEM, mode 0600, optionally under a passphrase that another file holds.
#include <algorithm>

#include <openssl/pem.h>

#include "key_schemes.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxKeyFile = 64U << 10U;
constexpr std::size_t kMaxPassphrase = 1024;
constexpr std::uint32_t kOthersMayRead = 0077;
constexpr std::string_view kPassphraseFile = "passphrase-file";

Result<PkeyPtr> load_file_key(FileSystem& fs, const KeyUri& uri) {
  auto pem = read_secret(fs, uri.path(), kMaxKeyFile);
  if (!pem) {
    return pem.error().with_context("key " + uri.to_string());
  }
  auto passphrase = passphrase_of(fs, uri, kPassphraseFile);
  if (!passphrase) {
    return std::move(passphrase).error();
  }
  const BioPtr bio = read_bio(pem->text());
  PkeyPtr key{PEM_read_bio_PrivateKey(bio.get(), nullptr, &give_passphrase, &*passphrase)};
  if (key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid,
                         uri.path() + " is no private key in PEM form, or its passphrase is wrong");
  }
  return key;
}

std::string encode_private(EVP_PKEY* key, const std::string& passphrase) {
  const BioPtr bio = write_bio();
  const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(),
                                    key,
                                    cipher,
                                    passphrase.empty() ? nullptr : passphrase.data(),
                                    static_cast<int>(passphrase.size()),
                                    nullptr,
                                    nullptr) != 1) {
    return {};
  }
  return bio_text(bio.get());
}

}  // namespace

Result<Secret> read_secret(FileSystem& fs, const std::string& path, std::size_t limit) {
  const auto status = fs.status(path);
  if (!status) {
    return status.error();
  }
  if ((status->mode & kOthersMayRead) != 0) {
    return Error{Error::Code::kPermissionDenied, path + " may be read by others; chmod 600 it"};
  }
  auto text = read_file(fs, path, limit);
  if (!text) {
    return std::move(text).error();
  }
  return Secret{std::move(*text)};
}

Result<Secret> passphrase_of(FileSystem& fs, const KeyUri& uri, std::string_view attribute) {
  const std::string file = uri.attribute(attribute);
  if (file.empty()) {
    return Secret{{}};
  }
  auto secret = read_secret(fs, file, kMaxPassphrase);
  if (!secret) {
    return secret.error().with_context("passphrase of " + uri.to_string());
  }
  const std::string& text = secret->text();
  const std::size_t end = text.find_last_not_of("\r\n");
  if (end == std::string::npos) {
    return Error{Error::Code::kKeyInvalid, file + " holds no passphrase"};
  }
  return Secret{text.substr(0, end + 1)};
}

int give_passphrase(char* buffer, int size, int /*writing*/, void* secret) {
  const std::string& text = static_cast<const Secret*>(secret)->text();
  const auto length = static_cast<int>(text.size());
  if (length == 0 || length > size) {
    return -1;
  }
  std::copy(text.begin(), text.end(), buffer);
  return length;
}

// Written beside and renamed, so that a crash leaves no half key; never over an existing one.
Result<void> write_new_secret(FileSystem& fs, const std::filesystem::path& path, ByteView content) {
  if (fs.exists(path)) {
    return Error{Error::Code::kAlreadyExists,
                 path.string() + " exists; remove it or choose another name"};
  }
  std::filesystem::path fresh = path;
  fresh += ".new";
  auto file = fs.open(fresh, OpenMode::kCreate, 0600);
  if (!file) {
    return std::move(file).error();
  }
  if (auto done = (*file)->set_mode(0600); !done) {
    return done;
  }
  if (auto done = (*file)->truncate(0); !done) {
    return done;
  }
  if (auto done = (*file)->write_at(0, content); !done) {
    return done;
  }
  if (auto done = (*file)->sync(); !done) {
    return done;
  }
  if (auto done = fs.rename(fresh, path, true); !done) {
    return done;
  }
  return fs.sync_directory(path.parent_path());
}

Result<std::unique_ptr<Signer>> open_file_key(FileSystem& fs, const KeyUri& uri) {
  auto key = load_file_key(fs, uri);
  if (!key) {
    return std::move(key).error();
  }
  auto signer = make_openssl_signer(std::move(*key));
  if (!signer) {
    return signer.error().with_context("key " + uri.to_string());
  }
  return signer;
}

Result<std::unique_ptr<Signer>> create_file_key(FileSystem& fs,
                                                const KeyUri& uri,
                                                KeyAlgorithm algorithm) {
  auto passphrase = passphrase_of(fs, uri, kPassphraseFile);
  if (!passphrase) {
    return std::move(passphrase).error();
  }
  auto key = generate_key(algorithm);
  if (!key) {
    return std::move(key).error();
  }
  const Secret pem{encode_private(key->get(), passphrase->text())};
  if (pem.text().empty()) {
    return openssl_error(Error::Code::kInternal, "encoding a private key");
  }
  if (auto written = write_new_secret(fs, uri.path(), as_bytes(pem.text())); !written) {
    return written.error().with_context("key " + uri.to_string());
  }
  return make_openssl_signer(std::move(*key));
}

Result<std::string> private_key_pem(FileSystem& fs, const KeyUri& uri) {
  if (uri.scheme() != "file") {
    return Error{Error::Code::kUnimplemented,
                 uri.to_string() + ": this key cannot leave its place; TLS needs a file: key"};
  }
  auto key = load_file_key(fs, uri);
  if (!key) {
    return std::move(key).error();
  }
  std::string pem = encode_private(key->get(), {});
  if (pem.empty()) {
    return openssl_error(Error::Code::kInternal, "encoding a private key");
  }
  return pem;
}

}  // namespace skerry::security
