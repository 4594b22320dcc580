// Keys in a TPM 2.0, by OpenSSL's provider tpm2: wrapped by the TPM in a file that only this TPM
// can use (tpm:/path), or at a persistent handle (tpm:0x81000001). The TPM is the one that the
// environment's TPM2OPENSSL_TCTI names, or the kernel's /dev/tpmrm0.
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "key_schemes.hpp"

namespace skerry::security {

namespace {

constexpr std::size_t kMaxTpmKeyFile = 16U << 10U;
constexpr const char* kTpmProvider = "provider=tpm2";
constexpr std::string_view kTpmPassphrase = "passphrase-file";

using StorePtr = std::unique_ptr<OSSL_STORE_CTX, OpensslDelete<OSSL_STORE_close>>;
using StoreInfoPtr = std::unique_ptr<OSSL_STORE_INFO, OpensslDelete<OSSL_STORE_INFO_free>>;
using UiMethodPtr = std::unique_ptr<UI_METHOD, OpensslDelete<UI_destroy_method>>;

// A library context of its own, so that nothing else of this process ever asks the TPM.
struct Tpm {
  OSSL_LIB_CTX* context = nullptr;
  std::mutex lock;
};

// Loaded once and kept until the process ends, since keys refer to it; tried again after a failure.
Result<Tpm*> tpm() {
  static Tpm instance;
  const std::lock_guard lock{instance.lock};
  if (instance.context != nullptr) {
    return &instance;
  }
  OSSL_LIB_CTX* context = OSSL_LIB_CTX_new();
  if (OSSL_PROVIDER_load(context, "default") == nullptr ||
      OSSL_PROVIDER_load(context, "tpm2") == nullptr) {
    const Error error = openssl_error(
        Error::Code::kUnavailable,
        "no TPM 2.0 through OpenSSL's provider tpm2 (package tpm2-openssl; TPM2OPENSSL_TCTI names "
        "another TPM than /dev/tpmrm0)");
    OSSL_LIB_CTX_free(context);
    return error;
  }
  instance.context = context;
  return &instance;
}

Error refused(const KeyUri& uri, std::string_view what) {
  return openssl_error(Error::Code::kKeyInvalid, uri.to_string() + ": " + std::string{what})
      .with_context("TPM");
}

Result<void> check_attributes(const KeyUri& uri) {
  const auto known = uri.attribute(kTpmPassphrase);
  const std::string plain = "tpm:" + uri.path();
  const std::string full = plain + "?" + std::string{kTpmPassphrase} + "=" + known;
  if (uri.to_string() != (known.empty() ? plain : full)) {
    return Error{Error::Code::kInvalidArgument,
                 uri.to_string() + ": an unknown attribute (passphrase-file is known)"};
  }
  return {};
}

Result<PkeyPtr> load_wrapped(const Tpm& tpm, FileSystem& fs, const KeyUri& uri, Secret& secret) {
  const auto pem = read_secret(fs, uri.path(), kMaxTpmKeyFile);
  if (!pem) {
    return pem.error().with_context("key " + uri.to_string());
  }
  const BioPtr bio = read_bio(pem->text());
  PkeyPtr key{PEM_read_bio_PrivateKey_ex(
      bio.get(), nullptr, &give_passphrase, &secret, tpm.context, kTpmProvider)};
  if (key == nullptr) {
    return refused(uri, "no key of this TPM, or its passphrase is wrong");
  }
  return key;
}

Result<PkeyPtr> load_persistent(const Tpm& tpm, const KeyUri& uri, Secret& secret) {
  const std::string name = "handle:" + uri.path() + (secret.text().empty() ? "" : "?pass");
  const UiMethodPtr ui{UI_UTIL_wrap_read_pem_callback(&give_passphrase, 0)};
  const StorePtr store{OSSL_STORE_open_ex(
      name.c_str(), tpm.context, kTpmProvider, ui.get(), &secret, nullptr, nullptr, nullptr)};
  while (store != nullptr && OSSL_STORE_eof(store.get()) == 0) {
    const StoreInfoPtr info{OSSL_STORE_load(store.get())};
    if (info == nullptr) {
      break;
    }
    if (OSSL_STORE_INFO_get_type(info.get()) == OSSL_STORE_INFO_PKEY) {
      return PkeyPtr{OSSL_STORE_INFO_get1_PKEY(info.get())};
    }
  }
  return refused(uri, "no key at this handle, or its passphrase is wrong");
}

}  // namespace

Result<std::unique_ptr<Signer>> open_tpm_key(FileSystem& fs, const KeyUri& uri) {
  if (auto known = check_attributes(uri); !known) {
    return known.error();
  }
  const bool wrapped = uri.path().starts_with('/');
  if (wrapped && !fs.exists(uri.path())) {
    return Error{Error::Code::kNotFound, uri.to_string() + ": no such file"};
  }
  auto secret = passphrase_of(fs, uri, kTpmPassphrase);
  if (!secret) {
    return std::move(secret).error();
  }
  const auto chip = tpm();
  if (!chip) {
    return chip.error().with_context(uri.to_string());
  }
  Result<PkeyPtr> key = [&] {
    const std::lock_guard lock{(*chip)->lock};
    return wrapped ? load_wrapped(**chip, fs, uri, *secret) : load_persistent(**chip, uri, *secret);
  }();
  if (!key) {
    return std::move(key).error();
  }
  return make_openssl_signer(std::move(*key), {(*chip)->context, kTpmProvider, &(*chip)->lock});
}

Result<std::unique_ptr<Signer>> create_tpm_key(FileSystem& fs,
                                               const KeyUri& uri,
                                               KeyAlgorithm algorithm) {
  if (auto known = check_attributes(uri); !known) {
    return known.error();
  }
  if (!uri.path().starts_with('/')) {
    return Error{Error::Code::kInvalidArgument,
                 uri.to_string() +
                     ": a new TPM key is named by a file, as tpm:/path/key.tss "
                     "(tpm2_evictcontrol moves one to a persistent handle)"};
  }
  if (algorithm != KeyAlgorithm::kEcdsaP256) {
    return Error{Error::Code::kInvalidArgument,
                 "a TPM 2.0 makes ecdsa-p256 keys, not " + std::string{to_string(algorithm)}};
  }
  auto secret = passphrase_of(fs, uri, kTpmPassphrase);
  if (!secret) {
    return std::move(secret).error();
  }
  const auto chip = tpm();
  if (!chip) {
    return chip.error().with_context(uri.to_string());
  }
  std::string pem;
  {
    const std::lock_guard lock{(*chip)->lock};
    OSSL_LIB_CTX* context = (*chip)->context;
    const PkeyCtxPtr maker{EVP_PKEY_CTX_new_from_name(context, "EC", kTpmProvider)};
    std::string group = "P-256";
    std::string auth = secret->text();
    OSSL_PARAM end = OSSL_PARAM_construct_end();
    OSSL_PARAM user_auth =
        auth.empty() ? end : OSSL_PARAM_construct_utf8_string("user-auth", auth.data(), 0);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), 0),
        user_auth,
        end};
    EVP_PKEY* made = nullptr;
    const bool done = maker != nullptr && EVP_PKEY_keygen_init(maker.get()) == 1 &&
                      EVP_PKEY_CTX_set_params(maker.get(), params) == 1 &&
                      EVP_PKEY_generate(maker.get(), &made) == 1;
    OPENSSL_cleanse(auth.data(), auth.size());
    const PkeyPtr key{made};
    const BioPtr bio = write_bio();
    if (!done ||
        PEM_write_bio_PrivateKey_ex(
            bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr, context, kTpmProvider) !=
            1) {
      return refused(uri, "making a key");
    }
    pem = bio_text(bio.get());
  }
  if (auto written = write_new_secret(fs, uri.path(), as_bytes(pem)); !written) {
    return written.error().with_context("key " + uri.to_string());
  }
  return open_tpm_key(fs, uri);
}

}  // namespace skerry::security
