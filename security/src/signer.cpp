#include "skerry/security/signer.hpp"

#include <algorithm>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "key_access.hpp"
#include "openssl.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxKeyFile = 64U << 10U;
constexpr std::size_t kMaxPassphrase = 1024;
constexpr std::uint32_t kOthersMayRead = 0077;

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

class OpensslSigner final : public Signer {
 public:
  OpensslSigner(PkeyPtr key, PublicKey public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)) {}

  [[nodiscard]] const PublicKey& public_key() const override { return public_key_; }

  [[nodiscard]] Result<Bytes> sign(ByteView message) const override {
    const MdCtxPtr ctx{EVP_MD_CTX_new()};
    const bool pure = public_key_.algorithm() == KeyAlgorithm::kEd25519;
    std::size_t size = 0;
    if (EVP_DigestSignInit(
            ctx.get(), nullptr, pure ? nullptr : EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestSign(ctx.get(), nullptr, &size, message.data(), message.size()) != 1) {
      return openssl_error(Error::Code::kKeyInvalid, "preparing a signature");
    }
    Bytes signature(size);
    if (EVP_DigestSign(ctx.get(), signature.data(), &size, message.data(), message.size()) != 1) {
      return openssl_error(Error::Code::kKeyInvalid, "signing");
    }
    signature.resize(size);
    return signature;
  }

  [[nodiscard]] void* native() const noexcept override { return key_.get(); }

 private:
  PkeyPtr key_;
  PublicKey public_key_;
};

Result<std::unique_ptr<Signer>> signer_of(PkeyPtr key) {
  auto public_key = PublicKeyAccess::from_native(key.get());
  if (!public_key) {
    return std::move(public_key).error();
  }
  if (public_key->algorithm() != KeyAlgorithm::kEd25519 &&
      public_key->algorithm() != KeyAlgorithm::kEcdsaP256) {
    return Error{Error::Code::kKeyInvalid,
                 "signing keys are ed25519 or ecdsa-p256, this one is " +
                     std::string{to_string(public_key->algorithm())}};
  }
  return std::unique_ptr<Signer>{
      std::make_unique<OpensslSigner>(std::move(key), std::move(*public_key))};
}

Result<PkeyPtr> generate(KeyAlgorithm algorithm) {
  PkeyPtr key;
  if (algorithm == KeyAlgorithm::kEd25519) {
    key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  } else if (algorithm == KeyAlgorithm::kEcdsaP256) {
    key.reset(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  } else {
    return Error{
        Error::Code::kInvalidArgument,
        "keys are made for ed25519 and ecdsa-p256, not for " + std::string{to_string(algorithm)}};
  }
  if (key == nullptr) {
    return openssl_error(Error::Code::kInternal, "making a key");
  }
  return key;
}

// Secrets must be readable by their owner only.
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

Result<Secret> passphrase_of(FileSystem& fs, const KeyUri& uri) {
  const std::string file = uri.attribute("passphrase-file");
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

Result<PkeyPtr> load_file_key(FileSystem& fs, const KeyUri& uri) {
  auto pem = read_secret(fs, uri.path(), kMaxKeyFile);
  if (!pem) {
    return pem.error().with_context("key " + uri.to_string());
  }
  auto passphrase = passphrase_of(fs, uri);
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

Result<std::unique_ptr<Signer>> open_file_key(FileSystem& fs, const KeyUri& uri) {
  auto key = load_file_key(fs, uri);
  if (!key) {
    return std::move(key).error();
  }
  auto signer = signer_of(std::move(*key));
  if (!signer) {
    return signer.error().with_context("key " + uri.to_string());
  }
  return signer;
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

Result<std::unique_ptr<Signer>> create_file_key(FileSystem& fs,
                                                const KeyUri& uri,
                                                KeyAlgorithm algorithm) {
  auto passphrase = passphrase_of(fs, uri);
  if (!passphrase) {
    return std::move(passphrase).error();
  }
  auto key = generate(algorithm);
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
  return signer_of(std::move(*key));
}

Error not_here(const KeyUri& uri) {
  return Error{Error::Code::kUnimplemented,
               uri.to_string() + ": keys of scheme '" + uri.scheme() +
                   "' are not supported by this build; use file:/path/key.pem"};
}

}  // namespace

SignerFactory::SignerFactory() {
  const auto refuse_open = [](FileSystem&, const KeyUri& uri) -> Result<std::unique_ptr<Signer>> {
    return not_here(uri);
  };
  const auto refuse_create =
      [](FileSystem&, const KeyUri& uri, KeyAlgorithm) -> Result<std::unique_ptr<Signer>> {
    return not_here(uri);
  };
  schemes_["file"] = Scheme{open_file_key, create_file_key};
  schemes_["tpm"] = Scheme{refuse_open, refuse_create};
  schemes_["pkcs11"] = Scheme{refuse_open, refuse_create};
}

void SignerFactory::register_scheme(std::string scheme, Opener open, Creator create) {
  schemes_[std::move(scheme)] = Scheme{std::move(open), std::move(create)};
}

Result<std::unique_ptr<Signer>> SignerFactory::open(FileSystem& fs, const KeyUri& uri) const {
  const auto it = schemes_.find(uri.scheme());
  return it == schemes_.end() ? Result<std::unique_ptr<Signer>>{not_here(uri)}
                              : it->second.open(fs, uri);
}

Result<std::unique_ptr<Signer>> SignerFactory::create(FileSystem& fs,
                                                      const KeyUri& uri,
                                                      KeyAlgorithm algorithm) const {
  const auto it = schemes_.find(uri.scheme());
  return it == schemes_.end() ? Result<std::unique_ptr<Signer>>{not_here(uri)}
                              : it->second.create(fs, uri, algorithm);
}

Result<std::unique_ptr<Signer>> make_signer(FileSystem& fs, const KeyUri& uri) {
  return SignerFactory{}.open(fs, uri);
}

Result<std::unique_ptr<Signer>> create_key(FileSystem& fs,
                                           const KeyUri& uri,
                                           KeyAlgorithm algorithm) {
  return SignerFactory{}.create(fs, uri, algorithm);
}

Result<std::unique_ptr<Signer>> open_or_create_key(FileSystem& fs,
                                                   const KeyUri& uri,
                                                   KeyAlgorithm algorithm) {
  const SignerFactory factory;
  auto opened = factory.open(fs, uri);
  if (opened || opened.error().code() != Error::Code::kNotFound) {
    return opened;
  }
  return factory.create(fs, uri, algorithm);
}

Result<std::unique_ptr<Signer>> make_memory_signer(KeyAlgorithm algorithm) {
  auto key = generate(algorithm);
  if (!key) {
    return std::move(key).error();
  }
  return signer_of(std::move(*key));
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
