#include "identity.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace skerry::controller {
namespace {

using security::KeyAlgorithm;

constexpr std::size_t kMaxPem = 64U << 10U;
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
                const Authorities& authorities,
                const security::CertificateNames& names,
                WallTime now) {
  const auto same = [](std::vector<std::string> a, std::vector<std::string> b) {
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return a == b;
  };
  return certificate.public_key() == key && !certificate.renewal_due(now) &&
         now <= certificate.not_after() && authorities.is_server_issuer_of(certificate) &&
         same(certificate.dns_names(), names.dns_names) &&
         certificate.ip_addresses().size() == names.ip_addresses.size();
}

// The first operator's way in. Made once, renewed with the same key while that lies here, and kept
// in step with the authorities; further operators get certificates of their own.
Result<void> refresh_operator_bundle(FileSystem& fs,
                                     WallTime now,
                                     const Settings& settings,
                                     const Authorities& authorities) {
  const auto directory = settings.state_directory() / "operator";
  const auto file = directory / "operator.crt";
  if (auto made = fs.create_directories(directory, 0700); !made) {
    return made;
  }
  const std::string bundle = authorities.bundle_pem();
  if (const auto held = read_file(fs, directory / "ca.crt", kMaxPem); !held || *held != bundle) {
    if (auto kept = write_file_atomic(fs, directory / "ca.crt", bundle, 0600); !kept) {
      return kept;
    }
  }
  if (fs.exists(file)) {
    const auto pem = read_file(fs, file, kMaxPem);
    const auto held = pem ? security::Certificate::from_pem(*pem) : pem.error();
    const bool good =
        held && !held->renewal_due(now) && authorities.verify(*held, now, Authorities::Use::kCall);
    if (good || !fs.exists(directory / "operator.key")) {
      return {};
    }
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
  grant.not_before = now;
  grant.lifetime = kOperatorLifetime;
  const auto certificate = authorities.issue((*key)->public_key(), grant);
  if (!certificate) {
    return certificate.error();
  }
  return write_file_atomic(fs, file, certificate->pem(), 0600);
}

}  // namespace

Result<ServerCertificate> refresh_certificates(FileSystem& fs,
                                               WallTime now,
                                               const Settings& settings,
                                               const Authorities& authorities,
                                               const security::PublicKey& server_key) {
  if (auto bundle = refresh_operator_bundle(fs, now, settings, authorities); !bundle) {
    return bundle.error().with_context("the first operator's certificate");
  }
  const auto names = server_names(settings);
  ServerCertificate out;
  out.path = settings.state_directory() / "certificates" / "server.crt";
  const std::string cross = authorities.cross_pem();
  std::optional<security::Certificate> certificate;
  const auto held = read_file(fs, out.path, kMaxPem);
  if (held) {
    if (auto loaded = security::Certificate::from_pem(*held);
        loaded && still_fits(*loaded, server_key, authorities, names, now)) {
      certificate = std::move(*loaded);
    }
  }
  if (!certificate) {
    security::CertificateGrant grant;
    grant.names = names;
    grant.server = true;
    grant.client = false;
    grant.not_before = now;
    grant.lifetime = kServerLifetime;
    auto issued = authorities.issue_server(server_key, grant);
    if (!issued) {
      return issued.error().with_context("issuing the server certificate (server.names)");
    }
    certificate = std::move(*issued);
  }
  out.spki = certificate->spki_digest().hex();
  // Leaf first; the cross certificates lead devices that missed a rotation to what they know.
  const std::string chain = certificate->pem() + cross;
  if (!held || *held != chain) {
    if (auto kept = write_file_atomic(fs, out.path, chain, 0600); !kept) {
      return kept.error();
    }
    out.changed = true;
  }
  return out;
}

Result<ControllerIdentity> open_identity(FileSystem& fs,
                                         const Clock& clock,
                                         const Settings& settings) {
  for (const auto* folder : {"keys", "certificates"}) {
    if (auto made = fs.create_directories(settings.state_directory() / folder, 0700); !made) {
      return made.error().with_context("the state directory");
    }
  }
  ControllerIdentity identity;
  auto authorities = Authorities::open(fs, clock, settings);
  if (!authorities) {
    return authorities.error();
  }
  identity.authorities = std::move(*authorities);
  identity.first_start = identity.authorities->first_start();

  auto server_key = open_key(fs, settings.identity().server_key, KeyAlgorithm::kEcdsaP256);
  if (!server_key) {
    return server_key.error();
  }
  identity.server_key = std::move(*server_key);
  const auto certificate = refresh_certificates(
      fs, clock.wall_now(), settings, *identity.authorities, identity.server_key->public_key());
  if (!certificate) {
    return certificate.error();
  }
  identity.server_certificate = certificate->path;
  identity.server_spki = certificate->spki;
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
  return identity;
}

}  // namespace skerry::controller
