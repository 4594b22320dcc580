#include "skerry/controller/authorities.hpp"

#include <algorithm>
#include <utility>

#include "skerry/security/signer.hpp"

#include "authority_list.hpp"

namespace skerry::controller {
namespace {

using security::Certificate;
using security::CertificateAuthority;

constexpr std::string_view kListFile = "authorities.json";
constexpr std::chrono::hours kAuthorityLifetime{10 * 365 * 24};

bool is_trusted(AuthorityState state) {
  return state == AuthorityState::kIssuing || state == AuthorityState::kAccepted;
}

Result<std::shared_ptr<const security::Signer>> open_authority_key(FileSystem& fs,
                                                                   const std::string& uri) {
  const auto parsed = security::KeyUri::parse(uri);
  if (!parsed) {
    return parsed.error();
  }
  auto signer = security::open_or_create_key(fs, *parsed, security::KeyAlgorithm::kEcdsaP256);
  if (!signer) {
    return signer.error().with_context("the key " + uri);
  }
  return std::shared_ptr<const security::Signer>{std::move(*signer)};
}

Result<std::shared_ptr<const CertificateAuthority>> open_authority(FileSystem& fs,
                                                                   const std::string& uri,
                                                                   const Certificate& certificate) {
  const auto key = open_authority_key(fs, uri);
  if (!key) {
    return key.error();
  }
  auto loaded = CertificateAuthority::load(*key, certificate.pem());
  if (!loaded) {
    return loaded.error();
  }
  return std::make_shared<const CertificateAuthority>(std::move(*loaded));
}

std::string authority_name(std::uint32_t generation, const std::string& trust_domain) {
  const std::string number = generation == 1 ? "" : " " + std::to_string(generation);
  return "Skerry fleet CA" + number + " (" + trust_domain + ")";
}

}  // namespace

Authorities::Authorities(FileSystem& fs, std::filesystem::path directory, const Settings& settings)
    : fs_(fs),
      directory_(std::move(directory)),
      keys_(settings.state_directory() / "keys"),
      first_key_(settings.identity().ca_key),
      trust_domain_(settings.identity().trust_domain) {}

Result<std::unique_ptr<Authorities>> Authorities::open(FileSystem& fs,
                                                       const Clock& clock,
                                                       const Settings& settings) {
  std::unique_ptr<Authorities> out{
      new Authorities{fs, settings.state_directory() / "certificates", settings}};
  const bool listed = fs.exists(out->directory_ / kListFile);
  auto roots = listed || fs.exists(out->directory_ / "ca.crt") ? out->load()
                                                               : out->make_first(clock.wall_now());
  if (!roots) {
    return roots.error().with_context("the certificate authorities");
  }
  out->roots_ = std::make_shared<const Roots>(std::move(*roots));
  return out;
}

Result<Authorities::Roots> Authorities::make_first(WallTime now) {
  const auto key = open_authority_key(fs_, first_key_);
  if (!key) {
    return key.error();
  }
  auto made =
      CertificateAuthority::create(*key, authority_name(1, trust_domain_), now, kAuthorityLifetime);
  if (!made) {
    return made.error();
  }
  if (auto kept = write_file_atomic(fs_, directory_ / "ca.crt", made->certificate().pem(), 0600);
      !kept) {
    return kept.error();
  }
  first_start_ = true;
  Root root{1, AuthorityState::kIssuing, first_key_, made->certificate(), std::nullopt, nullptr};
  root.authority = std::make_shared<const CertificateAuthority>(std::move(*made));
  return Roots{std::move(root)};
}

// The first authority, from before there was a list.
Result<Authorities::Roots> Authorities::load_first() const {
  const auto pem = read_file(fs_, directory_ / "ca.crt", AuthorityListLimits::kBytes);
  if (!pem) {
    return pem.error();
  }
  auto certificate = Certificate::from_pem(*pem);
  if (!certificate) {
    return certificate.error().with_context("ca.crt");
  }
  return Roots{Root{1, AuthorityState::kIssuing, first_key_, std::move(*certificate), {}, {}}};
}

Result<Authorities::Roots> Authorities::load_listed() const {
  const auto text = read_file(fs_, directory_ / kListFile, AuthorityListLimits::kBytes);
  if (!text) {
    return text.error();
  }
  auto entries = parse_authorities(*text);
  if (!entries) {
    return entries.error();
  }
  Roots roots;
  for (AuthorityEntry& entry : *entries) {
    roots.push_back(Root{entry.generation,
                         entry.state,
                         entry.generation == 1 ? first_key_ : entry.key_uri,
                         std::move(entry.certificate),
                         std::move(entry.cross),
                         {}});
  }
  return roots;
}

Result<Authorities::Roots> Authorities::load() const {
  const auto file = directory_ / kListFile;
  auto roots = fs_.exists(file) ? load_listed() : load_first();
  if (!roots) {
    return roots.error().with_context(file.string());
  }
  for (Root& root : *roots) {
    if (!is_trusted(root.state)) {
      continue;
    }
    auto authority = open_authority(fs_, root.key_uri, root.certificate);
    if (!authority) {
      return authority.error();
    }
    root.authority = std::move(*authority);
  }
  return roots;
}

std::shared_ptr<const Authorities::Roots> Authorities::roots() const {
  const std::lock_guard lock{mutex_};
  return roots_;
}

std::uint64_t Authorities::epoch() const {
  const std::lock_guard lock{mutex_};
  return epoch_;
}

Result<Certificate> Authorities::issue(const security::PublicKey& subject,
                                       const security::CertificateGrant& grant) const {
  return roots()->back().authority->issue(subject, grant);
}

Result<Certificate> Authorities::issue_server(const security::PublicKey& subject,
                                              const security::CertificateGrant& grant) const {
  for (const auto all = roots(); const Root& root : *all) {
    if (is_trusted(root.state)) {
      return root.authority->issue(subject, grant);
    }
  }
  return Error{Error::Code::kInternal, "no authority is accepted"};
}

bool Authorities::is_server_issuer_of(const Certificate& certificate) const {
  for (const auto all = roots(); const Root& root : *all) {
    if (is_trusted(root.state)) {
      return static_cast<bool>(certificate.verify_signature(root.certificate));
    }
  }
  return false;
}

Result<std::vector<Bytes>> Authorities::sign(ByteView statement) const {
  std::vector<Bytes> signatures;
  const auto all = roots();
  for (auto root = all->rbegin(); root != all->rend(); ++root) {
    if (!is_trusted(root->state)) {
      continue;
    }
    auto signature = root->authority->sign(statement);
    if (!signature) {
      return signature.error();
    }
    signatures.push_back(std::move(*signature));
  }
  return signatures;
}

std::string Authorities::bundle_pem() const {
  std::string pem;
  for (const auto all = roots(); const Root& root : *all) {
    if (is_trusted(root.state)) {
      pem += root.certificate.pem();
    }
  }
  return pem;
}

std::string Authorities::cross_pem() const {
  std::string pem;
  const auto all = roots();
  for (auto root = all->rbegin(); root != all->rend(); ++root) {
    const auto before = std::next(root);
    if (before == all->rend() || before->state == AuthorityState::kDistrusted) {
      // What a stolen key signed leads nowhere, and neither does what was signed before it.
      break;
    }
    if (root->cross) {
      pem += root->cross->pem();
    }
  }
  return pem;
}

Result<void> Authorities::verify(const Certificate& certificate, WallTime now, Use use) const {
  const auto all = roots();
  const auto issuer = std::find_if(all->rbegin(), all->rend(), [&](const Root& root) {
    return root.state != AuthorityState::kDistrusted &&
           certificate.verify_signature(root.certificate);
  });
  if (issuer == all->rend()) {
    return Error{
        Error::Code::kUnauthenticated,
        "the certificate of '" + certificate.common_name() + "' is by no authority of this fleet"};
  }
  if (now < certificate.not_before()) {
    return Error{Error::Code::kUnauthenticated,
                 "the certificate of '" + certificate.common_name() + "' is not valid before " +
                     to_rfc3339(certificate.not_before()) + "; it is now " + to_rfc3339(now)};
  }
  if (use == Use::kRenewal) {
    return {};
  }
  if (!is_trusted(issuer->state)) {
    return Error{Error::Code::kCertificateInvalid,
                 "the authority '" + issuer->certificate.common_name() +
                     "' was retired: the certificate of '" + certificate.common_name() +
                     "' must be renewed"};
  }
  if (now > certificate.not_after()) {
    return Error{Error::Code::kCertificateInvalid,
                 "the certificate of '" + certificate.common_name() + "' ended at " +
                     to_rfc3339(certificate.not_after()) + "; it is now " + to_rfc3339(now) +
                     ": it must be renewed"};
  }
  return {};
}

Result<void> Authorities::keep(Roots roots) {
  std::vector<AuthorityEntry> entries;
  for (const Root& root : roots) {
    entries.push_back({root.generation, root.state, root.key_uri, root.certificate, root.cross});
  }
  if (auto kept =
          write_file_atomic(fs_, directory_ / kListFile, serialise_authorities(entries), 0600);
      !kept) {
    return kept.error();
  }
  const std::lock_guard lock{mutex_};
  roots_ = std::make_shared<const Roots>(std::move(roots));
  ++epoch_;
  return {};
}

Result<void> Authorities::rotate(WallTime now) {
  const std::lock_guard lock{changing_};
  Roots next = *roots();
  const Root& present = next.back();
  for (const Root& root : next) {
    if (root.state == AuthorityState::kAccepted) {
      return Error{Error::Code::kFailedPrecondition,
                   "authority " + std::to_string(root.generation) +
                       " is still accepted: retire it before the next rotation"};
    }
  }
  const std::uint32_t generation = present.generation + 1;
  // A rotation that was cut off left its key: it is taken up.
  const std::string uri =
      "file:" + (keys_ / ("ca-" + std::to_string(generation) + ".pem")).string();
  const auto key = open_authority_key(fs_, uri);
  if (!key) {
    return key.error();
  }
  auto made = CertificateAuthority::create(
      *key, authority_name(generation, trust_domain_), now, kAuthorityLifetime);
  if (!made) {
    return made.error().with_context("making the next certificate authority");
  }
  auto cross = present.authority->cross_sign(made->certificate(), now);
  if (!cross) {
    return cross.error().with_context("signing the next certificate authority");
  }
  Root root{generation, AuthorityState::kIssuing, uri, made->certificate(), std::nullopt, nullptr};
  root.cross = std::move(*cross);
  root.authority = std::make_shared<const CertificateAuthority>(std::move(*made));
  next.back().state = AuthorityState::kAccepted;
  next.push_back(std::move(root));
  return keep(std::move(next));
}

Result<void> Authorities::retire(std::uint32_t generation, bool distrust) {
  const std::lock_guard lock{changing_};
  Roots next = *roots();
  const auto root = std::find_if(
      next.begin(), next.end(), [&](const Root& one) { return one.generation == generation; });
  if (root == next.end()) {
    return Error{Error::Code::kNotFound, "there is no authority " + std::to_string(generation)};
  }
  if (root->state == AuthorityState::kIssuing) {
    return Error{Error::Code::kFailedPrecondition,
                 "authority " + std::to_string(generation) +
                     " is the one that issues: rotate first, then retire it"};
  }
  if (root->state == AuthorityState::kDistrusted ||
      (root->state == AuthorityState::kRetired && !distrust)) {
    return Error{Error::Code::kFailedPrecondition,
                 "authority " + std::to_string(generation) + " is already " +
                     std::string{to_string(root->state)}};
  }
  root->state = distrust ? AuthorityState::kDistrusted : AuthorityState::kRetired;
  root->authority = nullptr;
  return keep(std::move(next));
}

std::vector<Authorities::View> Authorities::list() const {
  std::vector<View> views;
  for (const auto all = roots(); const Root& root : *all) {
    views.push_back(View{root.generation, root.state, root.certificate});
  }
  return views;
}

}  // namespace skerry::controller
