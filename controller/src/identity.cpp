#include "identity.hpp"

#include <algorithm>
#include <utility>

namespace skerry::controller {
namespace {

using security::KeyAlgorithm;

constexpr std::size_t kMaxPem = 64U << 10U;
constexpr std::chrono::hours kCaLifetime{10 * 365 * 24};
constexpr std::chrono::hours kServerLifetime{400 * 24};
constexpr std::chrono::hours kOperatorLifetime{400 * 24};

Result<std::shared_ptr<const security::Signer>> open_key(FileSystem& fs,
                                                         const std::string& uri,
                                                         KeyAlgorithm algorithm) {
  const auto parsed = security::KeyUri::parse(uri);
  if (!parsed) {
    return parsed.error();
  }
  auto signer = security::open_or_create_key(fs, *parsed, algorithm);
  if (!signer) {
    return signer.error().with_context("the key " + uri);
  }
  return std::shared_ptr<const security::Signer>{std::move(*signer)};
}

Result<std::unique_ptr<security::CertificateAuthority>> open_authority(FileSystem& fs,
                                                                       const Clock& clock,
                                                                       const Settings& settings,
                                                                       bool& created) {
  const auto key = open_key(fs, settings.identity().ca_key, KeyAlgorithm::kEcdsaP256);
  if (!key) {
    return key.error();
  }
  const auto path = settings.state_directory() / "certificates" / "ca.crt";
  if (fs.exists(path)) {
    const auto pem = read_file(fs, path, kMaxPem);
    if (!pem) {
      return pem.error();
    }
    auto loaded = security::CertificateAuthority::load(*key, *pem);
    if (!loaded) {
      return loaded.error().with_context(path.string());
    }
    return std::make_unique<security::CertificateAuthority>(std::move(*loaded));
  }
  auto made = security::CertificateAuthority::create(
      *key,
      "Skerry fleet CA (" + settings.identity().trust_domain + ")",
      clock.wall_now(),
      kCaLifetime);
  if (!made) {
    return made.error().with_context("making the certificate authority");
  }
  if (auto kept = write_file_atomic(fs, path, made->certificate().pem(), 0600); !kept) {
    return kept.error();
  }
  created = true;
  return std::make_unique<security::CertificateAuthority>(std::move(*made));
}

bool is_address(const std::string& name) {
  return name.find(':') != std::string::npos || std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || c == '.';
         });
}

security::CertificateNames server_names(const Settings& settings) {
  security::CertificateNames names;
  names.common_name = "skerry-controller";
  names.spiffe_id =
      security::SpiffeId{
          settings.identity().trust_domain, security::SpiffeId::Kind::kController, "controller"}
          .to_string();
  for (const auto& name : settings.server().names) {
    (is_address(name) ? names.ip_addresses : names.dns_names).push_back(name);
  }
  return names;
}

bool still_fits(const security::Certificate& certificate,
                const security::PublicKey& key,
                const security::CertificateAuthority& authority,
                const security::CertificateNames& names,
                WallTime now) {
  const auto same = [](std::vector<std::string> a, std::vector<std::string> b) {
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return a == b;
  };
  return certificate.public_key() == key && !certificate.renewal_due(now) &&
         certificate.verify(authority.certificate(), now) &&
         same(certificate.dns_names(), names.dns_names) &&
         certificate.ip_addresses().size() == names.ip_addresses.size();
}

Result<security::Certificate> open_server_certificate(
    FileSystem& fs,
    const Clock& clock,
    const Settings& settings,
    const security::CertificateAuthority& authority,
    const security::PublicKey& key) {
  const auto names = server_names(settings);
  const auto path = settings.state_directory() / "certificates" / "server.crt";
  const WallTime now = clock.wall_now();
  if (const auto pem = read_file(fs, path, kMaxPem)) {
    if (auto loaded = security::Certificate::from_pem(*pem);
        loaded && still_fits(*loaded, key, authority, names, now)) {
      return loaded;
    }
  }
  security::CertificateGrant grant;
  grant.names = names;
  grant.server = true;
  grant.client = false;
  grant.not_before = now - std::chrono::minutes{5};
  grant.lifetime = kServerLifetime;
  auto issued = authority.issue(key, grant);
  if (!issued) {
    return issued.error().with_context("issuing the server certificate (server.names)");
  }
  if (auto kept = write_file_atomic(fs, path, issued->pem(), 0600); !kept) {
    return kept.error();
  }
  return issued;
}

// The first operator's way in. Made once; further operators get certificates of their own.
Result<void> write_operator_bundle(FileSystem& fs,
                                   const Clock& clock,
                                   const Settings& settings,
                                   const security::CertificateAuthority& authority) {
  const auto directory = settings.state_directory() / "operator";
  if (fs.exists(directory / "operator.crt")) {
    return {};
  }
  if (auto made = fs.create_directories(directory, 0700); !made) {
    return made;
  }
  const auto uri = security::KeyUri::parse("file:" + (directory / "operator.key").string());
  if (!uri) {
    return uri.error();
  }
  const auto key = security::open_or_create_key(fs, *uri, KeyAlgorithm::kEcdsaP256);
  if (!key) {
    return key.error();
  }
  security::CertificateGrant grant;
  grant.names.common_name = "admin";
  grant.names.spiffe_id =
      security::SpiffeId{
          settings.identity().trust_domain, security::SpiffeId::Kind::kOperator, "admin"}
          .to_string();
  grant.not_before = clock.wall_now() - std::chrono::minutes{5};
  grant.lifetime = kOperatorLifetime;
  const auto certificate = authority.issue((*key)->public_key(), grant);
  if (!certificate) {
    return certificate.error();
  }
  if (auto kept = write_file_atomic(fs, directory / "ca.crt", authority.certificate().pem(), 0600);
      !kept) {
    return kept;
  }
  return write_file_atomic(fs, directory / "operator.crt", certificate->pem(), 0600);
}

}  // namespace

Result<ControllerIdentity> open_identity(FileSystem& fs,
                                         const Clock& clock,
                                         const Settings& settings) {
  for (const auto* folder : {"keys", "certificates"}) {
    if (auto made = fs.create_directories(settings.state_directory() / folder, 0700); !made) {
      return made.error().with_context("the state directory");
    }
  }
  ControllerIdentity identity;
  auto authority = open_authority(fs, clock, settings, identity.first_start);
  if (!authority) {
    return authority.error();
  }
  identity.authority = std::move(*authority);

  const auto server_key = open_key(fs, settings.identity().server_key, KeyAlgorithm::kEcdsaP256);
  if (!server_key) {
    return server_key.error();
  }
  auto certificate = open_server_certificate(
      fs, clock, settings, *identity.authority, (*server_key)->public_key());
  if (!certificate) {
    return certificate.error();
  }
  identity.server_certificate_pem = certificate->pem();
  identity.server_spki = certificate->spki_digest().hex();
  const auto uri = security::KeyUri::parse(settings.identity().server_key);
  if (!uri) {
    return uri.error();
  }
  auto pem = security::private_key_pem(fs, *uri);
  if (!pem) {
    return pem.error().with_context("the server key");
  }
  identity.server_key_pem = std::move(*pem);

  auto online = open_key(fs, settings.identity().online_key, KeyAlgorithm::kEd25519);
  if (!online) {
    return online.error();
  }
  identity.online_key = std::move(*online);
  auto director = open_key(fs, settings.identity().director_key, KeyAlgorithm::kEd25519);
  if (!director) {
    return director.error();
  }
  identity.director_key = std::move(*director);
  auto audit = open_key(fs, settings.identity().audit_key, KeyAlgorithm::kEd25519);
  if (!audit) {
    return audit.error();
  }
  identity.audit_key = std::move(*audit);
  if (auto bundle = write_operator_bundle(fs, clock, settings, *identity.authority); !bundle) {
    return bundle.error().with_context("the first operator's certificate");
  }
  return identity;
}

}  // namespace skerry::controller
