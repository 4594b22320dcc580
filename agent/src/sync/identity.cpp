#include "identity.hpp"

#include <utility>

#include "skerry/common/json.hpp"
#include "skerry/security/certificate.hpp"

namespace skerry::agent::sync {
namespace {

constexpr std::size_t kMaxFile = 256U << 10U;

Result<WallTime> expiry_of(const std::string& chain_pem) {
  Result<security::Certificate> certificate = security::Certificate::from_pem(chain_pem);
  if (!certificate) {
    return certificate.error();
  }
  return certificate->not_after();
}

}  // namespace

Result<std::optional<DeviceIdentity>> load_identity(FileSystem& fs,
                                                    const std::filesystem::path& file) {
  if (!fs.exists(file)) {
    return std::optional<DeviceIdentity>{};
  }
  Result<std::string> text = read_file(fs, file, kMaxFile);
  if (!text) {
    return text.error();
  }
  Result<Json> json = Json::parse(*text);
  if (!json) {
    return json.error().with_context(file.string());
  }
  DeviceIdentity identity;
  const std::pair<std::string_view, std::string*> members[] = {
      {"device_id", &identity.device_id},
      {"tenant_id", &identity.tenant_id},
      {"site_id", &identity.site_id},
      {"certificate_chain_pem", &identity.certificate_chain_pem},
      {"trust_bundle_pem", &identity.trust_bundle_pem},
  };
  for (const auto& [name, out] : members) {
    Result<std::string> value = json->get_string(name);
    if (!value) {
      return value.error().with_context(file.string());
    }
    *out = *std::move(value);
  }
  if (json->find("key_file") != nullptr) {
    Result<std::string> name = json->get_string("key_file");
    if (!name || name->empty() || name->find('/') != std::string::npos) {
      return Error{Error::Code::kParse, file.string() + ": key_file is no file name"};
    }
    identity.key_file = *std::move(name);
  }
  Result<WallTime> expires = expiry_of(identity.certificate_chain_pem);
  if (!expires) {
    return expires.error().with_context(file.string());
  }
  identity.expires = *expires;
  return std::optional<DeviceIdentity>{std::move(identity)};
}

Result<Credentials> load_credentials(FileSystem& fs, const std::filesystem::path& state_dir) {
  Credentials out;
  Result<std::optional<DeviceIdentity>> loaded = load_identity(fs, state_dir / "identity.json");
  if (!loaded) {
    return loaded.error();
  }
  out.identity = *std::move(loaded);
  const std::string file = out.identity ? out.identity->key_file : "device.pem";
  Result<security::KeyUri> uri =
      security::KeyUri::parse("file:" + (state_dir / "keys" / file).string());
  if (!uri) {
    return uri.error();
  }
  Result<std::unique_ptr<security::Signer>> signer =
      out.identity ? security::make_signer(fs, *uri)
                   : security::open_or_create_key(fs, *uri, security::KeyAlgorithm::kEcdsaP256);
  if (!signer) {
    return Error{Error::Code::kKeyInvalid, "device key: " + signer.error().message()};
  }
  out.key = *std::move(signer);
  if (out.identity) {
    Result<security::Certificate> leaf =
        security::Certificate::from_pem(out.identity->certificate_chain_pem);
    if (!leaf || leaf->spki_digest() != out.key->public_key().spki_digest()) {
      return Error{Error::Code::kKeyInvalid,
                   "keys/" + file + " is not the key of the certificate in identity.json"};
    }
  }
  Result<std::string> pem = security::private_key_pem(fs, *uri);
  if (!pem) {
    return pem.error().with_context("device key");
  }
  out.key_pem = *std::move(pem);
  return out;
}

Result<DeviceIdentity> store_identity(FileSystem& fs,
                                      const std::filesystem::path& file,
                                      DeviceIdentity identity,
                                      const Digest& key_spki) {
  Result<security::Certificate> leaf =
      security::Certificate::from_pem(identity.certificate_chain_pem);
  if (!leaf) {
    return leaf.error().with_context("the controller's answer");
  }
  if (leaf->spki_digest() != key_spki) {
    return Error{Error::Code::kCertificateInvalid,
                 "the controller's answer: the certificate is for another key"};
  }
  Result<security::SpiffeId> name = leaf->identity();
  if (!name) {
    return name.error().with_context("the controller's answer");
  }
  if (name->kind != security::SpiffeId::Kind::kDevice) {
    return Error{Error::Code::kCertificateInvalid,
                 "the controller's answer: " + name->to_string() + " is no device"};
  }
  Result<security::Certificate> authority =
      security::Certificate::from_pem(identity.trust_bundle_pem);
  if (!authority) {
    return authority.error().with_context("the controller's trust bundle");
  }
  identity.expires = leaf->not_after();
  Json::Object object;
  object.emplace("device_id", Json{identity.device_id});
  object.emplace("tenant_id", Json{identity.tenant_id});
  object.emplace("site_id", Json{identity.site_id});
  object.emplace("certificate_chain_pem", Json{identity.certificate_chain_pem});
  object.emplace("trust_bundle_pem", Json{identity.trust_bundle_pem});
  object.emplace("key_file", Json{identity.key_file});
  if (Result<void> written =
          write_file_atomic(fs, file, Json{std::move(object)}.dump_pretty(), 0600);
      !written) {
    return written.error();
  }
  return identity;
}

}  // namespace skerry::agent::sync
