// Keys in a PKCS#11 token, by the OpenSSL engine that Debian 12 has (libp11): OpenSSL 3.0 has no
// provider for them.
#include <algorithm>
#include <map>

#include <openssl/engine.h>

#include "pkcs11_token.hpp"

namespace skerry::security {

namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // engines, the only way here

struct Pkcs11Engine {
  ENGINE* engine = nullptr;
  std::mutex lock;
};

// One engine a module, kept until the process ends: its keys refer to it.
Result<Pkcs11Engine*> engine_of(const std::string& module) {
  static std::mutex guard;
  static std::map<std::string, std::unique_ptr<Pkcs11Engine>> engines;
  const std::lock_guard lock{guard};
  auto& entry = engines[module];
  if (entry == nullptr) {
    ENGINE_load_dynamic();
    ENGINE* engine = ENGINE_by_id("pkcs11");
    if (engine == nullptr) {
      return openssl_error(Error::Code::kUnavailable,
                           "OpenSSL has no pkcs11 engine (package libengine-pkcs11-openssl)");
    }
    if (ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", module.c_str(), 0) != 1 ||
        ENGINE_ctrl_cmd_string(engine, "QUIET", nullptr, 0) != 1 || ENGINE_init(engine) != 1) {
      ENGINE_free(engine);
      return openssl_error(Error::Code::kUnavailable, "PKCS#11 module " + module);
    }
    entry = std::make_unique<Pkcs11Engine>();
    entry->engine = engine;
  }
  return entry.get();
}

// The engine says what fails on standard error too; only its error queue is used here.
Result<PkeyPtr> load_private(Pkcs11Engine& home, const Pkcs11Place& place) {
  const std::lock_guard lock{home.lock};
  if (!place.pin.text().empty() &&
      ENGINE_ctrl_cmd_string(home.engine, "PIN", place.pin.text().c_str(), 0) != 1) {
    return openssl_error(Error::Code::kKeyInvalid, place.uri + ": setting the PIN");
  }
  PkeyPtr key{ENGINE_load_private_key(
      home.engine, (place.uri + ";type=private").c_str(), nullptr, nullptr)};
  if (key == nullptr) {
    return openssl_error(Error::Code::kKeyInvalid, place.uri);
  }
  return key;
}

#pragma GCC diagnostic pop

}  // namespace

Result<std::unique_ptr<Signer>> open_pkcs11_key(FileSystem& fs, const KeyUri& uri) {
  const auto place = Pkcs11Place::parse(fs, uri);
  if (!place) {
    return place.error();
  }
  // Asked first, since the engine's own answers do not tell a missing key from a wrong PIN.
  const auto names = list_token(*place);
  if (!names) {
    return names.error();
  }
  const auto engine = engine_of(place->module);
  if (!engine) {
    return engine.error();
  }
  auto key = load_private(**engine, *place);
  if (!key) {
    const bool missing = key.error().message().find("not found") != std::string::npos;
    return missing ? Error{Error::Code::kNotFound, place->uri + ": the token has no such key"}
                   : key.error();
  }
  return make_openssl_signer(std::move(*key), {nullptr, nullptr, &(*engine)->lock});
}

Result<std::unique_ptr<Signer>> create_pkcs11_key(FileSystem& fs,
                                                  const KeyUri& uri,
                                                  KeyAlgorithm algorithm) {
  if (algorithm != KeyAlgorithm::kEcdsaP256) {
    return Error{Error::Code::kInvalidArgument,
                 "keys on a PKCS#11 token are ecdsa-p256 (the engine takes no ed25519), not " +
                     std::string{to_string(algorithm)}};
  }
  const auto place = Pkcs11Place::parse(fs, uri);
  if (!place) {
    return place.error();
  }
  if (auto made = make_token_key(*place); !made) {
    return made.error();
  }
  return open_pkcs11_key(fs, uri);
}

Result<std::vector<KeyUri>> list_token_keys(FileSystem& fs, const KeyUri& token) {
  if (token.scheme() != "pkcs11") {
    return Error{Error::Code::kInvalidArgument,
                 token.to_string() + ": only pkcs11: tokens are listed"};
  }
  const auto place = Pkcs11Place::parse(fs, token);
  if (!place) {
    return place.error();
  }
  const auto names = list_token(*place);
  if (!names) {
    return names.error();
  }
  const std::string query = token.to_string().substr(token.to_string().find('?'));
  std::vector<KeyUri> keys;
  keys.reserve(names->size());
  for (const std::string& name : *names) {
    auto uri = KeyUri::parse(name + query);
    if (!uri) {
      return uri.error();
    }
    keys.push_back(std::move(*uri));
  }
  return keys;
}

}  // namespace skerry::security
