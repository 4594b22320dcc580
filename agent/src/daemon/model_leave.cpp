// What the revocations, the release counters, the permits and `not_after` let a gateway do with one
// model. Asked before an activation and for what runs.

#include <algorithm>
#include <utility>

#include "skerry/agent/security_targets.hpp"

namespace skerry::agent {

using registry::VerifiedManifest;
using security::Revocation;
using security::RevocationEffect;
namespace {

security::RevocationSubject subject_of(const VerifiedManifest& verified, std::string_view variant) {
  const registry::Manifest& manifest = verified.manifest;
  security::RevocationSubject subject;
  subject.model = manifest.model.to_string();
  subject.version = manifest.version.to_string();
  subject.release_counter = manifest.release_counter;
  subject.manifest = verified.digest;
  for (const registry::ManifestFile& file : manifest.shared) {
    subject.blobs.insert(file.digest);
  }
  if (const registry::Variant* chosen = manifest.find_variant(variant)) {
    for (const registry::ManifestFile& file : chosen->files) {
      subject.blobs.insert(file.digest);
    }
  }
  return subject;
}

std::string permit_name(const security::DowngradePermit& permit) {
  return "permit/" + permit.nonce;
}

std::string name_of(const VerifiedManifest& verified) {
  return verified.manifest.model.to_string() + " " + verified.manifest.version.to_string();
}

}  // namespace

Result<void> SecurityTargets::check_revoked(const VerifiedManifest& manifest,
                                            std::string_view variant,
                                            RevocationEffect least) const {
  std::shared_ptr<const security::Revocations> revocations;
  {
    const std::lock_guard lock{mutex_};
    revocations = revocations_;
  }
  const Revocation* found = revocations->find(subject_of(manifest, variant));
  if (found == nullptr || found->effect < least) {
    return {};
  }
  return Error{Error::Code::kPermissionDenied, name_of(manifest) + " is " + found->describe()};
}

Result<void> SecurityTargets::may_run(const VerifiedManifest& manifest,
                                      std::string_view variant) const {
  return check_revoked(manifest, variant, RevocationEffect::kStop);
}

Result<void> SecurityTargets::may_return(const VerifiedManifest& manifest,
                                         std::string_view variant) const {
  return check_revoked(manifest, variant, RevocationEffect::kBlockNew);
}

std::string SecurityTargets::revocation_of(const VerifiedManifest& manifest,
                                           std::string_view variant) const {
  std::shared_ptr<const security::Revocations> revocations;
  {
    const std::lock_guard lock{mutex_};
    revocations = revocations_;
  }
  const Revocation* found = revocations->find(subject_of(manifest, variant));
  return found == nullptr ? std::string{} : found->describe();
}

Result<SecurityTargets::Leave> SecurityTargets::may_activate(const VerifiedManifest& manifest,
                                                             std::string_view variant,
                                                             std::uint64_t use) {
  Leave leave;
  if (auto revoked = check_revoked(manifest, variant, RevocationEffect::kBlockNew); !revoked) {
    return revoked.error();
  }
  if (std::string warning = revocation_of(manifest, variant); !warning.empty()) {
    leave.warnings.push_back(std::move(warning));
  }
  const security::TrustedTime time = time_.now();
  if (manifest.not_after && time.now > *manifest.not_after) {
    const std::string what =
        name_of(manifest) + " may not be installed after " + to_rfc3339(*manifest.not_after);
    // ADR 0021: a clock that nobody vouches for refuses nothing.
    if (time.attested()) {
      return Error{Error::Code::kMetadataExpired, what};
    }
    leave.warnings.push_back(what + "; nobody vouches for the clock, so it is not refused");
  }
  auto permit = permit_for(manifest, use, leave.warnings);
  if (!permit) {
    return permit.error();
  }
  leave.permit = std::move(*permit);
  return leave;
}

std::uint64_t SecurityTargets::use_of(std::string_view slot, std::uint64_t generation) {
  const Digest digest = Digest::of(std::string{slot} + "\n" + std::to_string(generation));
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    value = value << 8U | digest.bytes()[i];
  }
  return value + 1;
}

// The floor of that name holds which activation used the permit: noted before the activation's own
// transaction, so that a crash in between costs no second use and lets this one go on.
Result<void> SecurityTargets::use_permit(const security::DowngradePermit& permit,
                                         std::uint64_t use) {
  const std::lock_guard lock{using_};
  const auto used = catalogue_.floor(permit_name(permit));
  if (!used) {
    return used.error();
  }
  if (*used == use) {
    return {};
  }
  if (*used > 0) {
    return Error{Error::Code::kRollback, "permit " + permit.nonce + " was used"};
  }
  const auto noted = catalogue_.raise_floor(permit_name(permit), use);
  return noted ? Result<void>{} : noted.error();
}

Result<std::optional<security::DowngradePermit>> SecurityTargets::permit_for(
    const VerifiedManifest& manifest, std::uint64_t use, std::vector<std::string>& warnings) {
  using Permit = std::optional<security::DowngradePermit>;
  const auto held = catalogue_.release_counter(manifest.manifest.model);
  if (!held) {
    return held.error();
  }
  const std::uint64_t wanted = manifest.manifest.release_counter;
  if (wanted >= *held) {
    return Permit{};
  }
  std::shared_ptr<const security::DowngradePermits> permits;
  {
    const std::lock_guard lock{mutex_};
    permits = permits_;
  }
  std::string why;
  const security::TrustedTime time = time_.now();
  for (const security::DowngradePermit& permit :
       permits->matching(device_id_(), manifest.manifest.model.to_string(), *held, wanted)) {
    const auto used = catalogue_.floor(permit_name(permit));
    if (!used) {
      return used.error();
    }
    if (*used > 0 && *used != use) {
      why = "; permit " + permit.nonce + " was used";
      continue;
    }
    if (time.now > permit.expires) {
      if (time.attested()) {
        why = "; permit " + permit.nonce + " ended at " + to_rfc3339(permit.expires);
        continue;
      }
      warnings.push_back("permit " + permit.nonce +
                         " has ended; nobody vouches for the clock, so it is taken");
    }
    warnings.push_back("release counter " + std::to_string(wanted) + " after " +
                       std::to_string(*held) + " by permit " + permit.nonce + ": " + permit.reason);
    return Permit{permit};
  }
  return Error{Error::Code::kRollback,
               "release counter " + std::to_string(wanted) + " of " + name_of(manifest) +
                   " is below " + std::to_string(*held) +
                   ", which ran here; a signed downgrade permit is needed" + why};
}

}  // namespace skerry::agent
