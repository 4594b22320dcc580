#include "skerry/security/signer.hpp"

#include <utility>

#include "key_access.hpp"
#include "key_schemes.hpp"

namespace skerry::security {

namespace {

class OpensslSigner final : public Signer {
 public:
  OpensslSigner(PkeyPtr key, PublicKey public_key, const KeyHome& home)
      : key_(std::move(key)), public_key_(std::move(public_key)), home_(home) {}
  ~OpensslSigner() override {
    const auto guard = lock();
    key_.reset();
  }
  OpensslSigner(const OpensslSigner&) = delete;
  OpensslSigner& operator=(const OpensslSigner&) = delete;

  [[nodiscard]] const PublicKey& public_key() const override { return public_key_; }

  [[nodiscard]] Result<Bytes> sign(ByteView message) const override {
    const auto guard = lock();
    const MdCtxPtr ctx{EVP_MD_CTX_new()};
    const bool pure = public_key_.algorithm() == KeyAlgorithm::kEd25519;
    std::size_t size = 0;
    if (EVP_DigestSignInit_ex(ctx.get(),
                              nullptr,
                              pure ? nullptr : "SHA256",
                              home_.context,
                              home_.properties,
                              key_.get(),
                              nullptr) != 1 ||
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

  [[nodiscard]] Result<Bytes> agree(const PublicKey& peer) const {
    const auto guard = lock();
    const Bytes der = peer.der();
    const unsigned char* at = der.data();
    const PkeyPtr other{d2i_PUBKEY_ex(
        nullptr, &at, static_cast<long>(der.size()), home_.context, "provider=default")};
    const PkeyCtxPtr ctx{EVP_PKEY_CTX_new_from_pkey(home_.context, key_.get(), home_.properties)};
    std::size_t size = 0;
    if (other == nullptr || ctx == nullptr || EVP_PKEY_derive_init(ctx.get()) != 1 ||
        EVP_PKEY_derive_set_peer(ctx.get(), other.get()) != 1 ||
        EVP_PKEY_derive(ctx.get(), nullptr, &size) != 1) {
      return openssl_error(Error::Code::kUnimplemented, "this key agrees on no secret");
    }
    Bytes secret(size);
    if (EVP_PKEY_derive(ctx.get(), secret.data(), &size) != 1) {
      return openssl_error(Error::Code::kKeyInvalid, "agreeing on a secret");
    }
    secret.resize(size);
    return secret;
  }

 private:
  [[nodiscard]] std::unique_lock<std::mutex> lock() const {
    return home_.lock == nullptr ? std::unique_lock<std::mutex>{}
                                 : std::unique_lock<std::mutex>{*home_.lock};
  }

  PkeyPtr key_;
  PublicKey public_key_;
  KeyHome home_;
};

Error not_here(const KeyUri& uri) {
  return Error{Error::Code::kUnimplemented,
               uri.to_string() + ": there are no keys of scheme '" + uri.scheme() +
                   "'; use file:, tpm: or pkcs11:"};
}

}  // namespace

Result<std::unique_ptr<Signer>> make_openssl_signer(PkeyPtr key, const KeyHome& home) {
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
      std::make_unique<OpensslSigner>(std::move(key), std::move(*public_key), home)};
}

Result<Bytes> agree_secret(const Signer& key, const PublicKey& peer) {
  const auto* own = dynamic_cast<const OpensslSigner*>(&key);
  if (own == nullptr) {
    return Error{Error::Code::kUnimplemented, "this key can only sign"};
  }
  return own->agree(peer);
}

Result<PkeyPtr> generate_key(KeyAlgorithm algorithm) {
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

SignerFactory::SignerFactory() {
  schemes_["file"] = Scheme{open_file_key, create_file_key};
  schemes_["tpm"] = Scheme{open_tpm_key, create_tpm_key};
  schemes_["pkcs11"] = Scheme{open_pkcs11_key, create_pkcs11_key};
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
  auto key = generate_key(algorithm);
  if (!key) {
    return std::move(key).error();
  }
  return make_openssl_signer(std::move(*key));
}

}  // namespace skerry::security
