#pragma once

// What the `security` role of the image repository says to this gateway: the policy, the
// revocations, the downgrade permits (docs/formats/{policy,revocations}.md, ADRs 0074 and 0075).
// Each refresh of the trust metadata brings them up to date; the last verified ones are on disk, so
// that a gateway starts with them when there is no network. A broken, older or wrongly signed one
// is refused on record, and what was in force stays.
//
// `refresh` blocks and runs on transfer threads; everything else may be asked from any thread.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/security/downgrade_permits.hpp"
#include "skerry/security/rbac.hpp"
#include "skerry/security/revocations.hpp"
#include "skerry/security/signed_document.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::agent {

// Finds and fetches verified targets; the installer makes one per refresh.
class TargetReader {
 public:
  virtual ~TargetReader() = default;
  // As `tuf::Client::lookup`.
  virtual Result<security::tuf::FoundTarget> find(std::string_view path) = 0;
  // Its bytes, checked against length and hashes. kTooLarge beyond `limit`.
  virtual Result<std::string> read(const security::tuf::FoundTarget& target, std::size_t limit) = 0;
};

class SecurityTargets {
 public:
  // Opens the kept copies in the state folder. `device_id` names this gateway in permits.
  SecurityTargets(Core& core,
                  AuditWriter& audit,
                  registry::Catalogue& catalogue,
                  DeviceTime& time,
                  std::function<std::string()> device_id);
  ~SecurityTargets();

  // Called on the control thread after something new was taken.
  void on_change(std::function<void()> callback) { on_change_ = std::move(callback); }

  // Takes what is new. A document that is refused does not hold up the others.
  void refresh(TargetReader& reader);

  // The signed policy in force; one that denies everything if it was lost; null if this gateway
  // never had one or is not to have one (policy.target is empty).
  [[nodiscard]] std::shared_ptr<const security::Policy> policy() const;
  // Its document as it was signed; empty without one.
  [[nodiscard]] std::string policy_document() const;

  // What may be done with a model, by revocations, release counters and `not_after`. `variant`
  // empty: before one is chosen, only what holds for all of them.
  struct Leave {
    // Set if the release counter goes back by a signed permit, which `activate` then uses up.
    std::optional<security::DowngradePermit> permit;
    std::vector<std::string> warnings;
  };
  // kPermissionDenied if it is revoked, kMetadataExpired, kRollback. `use` tells one activation
  // from another: a permit that this very one has used is still good for it.
  Result<Leave> may_activate(const registry::VerifiedManifest& manifest,
                             std::string_view variant,
                             std::uint64_t use = 0);
  // Which activation this is, for `may_activate` and `use_permit`; never 0.
  static std::uint64_t use_of(std::string_view slot, std::uint64_t generation);
  // Notes durably that the permit went into activation `use`. kRollback if another one used it.
  Result<void> use_permit(const security::DowngradePermit& permit, std::uint64_t use);
  // Whether a slot may go back to it: kPermissionDenied if it is revoked with more than a warning.
  // Going back is not bound by counters and dates.
  [[nodiscard]] Result<void> may_return(const registry::VerifiedManifest& manifest,
                                        std::string_view variant) const;
  // kPermissionDenied if it must stop.
  [[nodiscard]] Result<void> may_run(const registry::VerifiedManifest& manifest,
                                     std::string_view variant) const;
  // The strongest revocation that names it, in words; empty if none does.
  [[nodiscard]] std::string revocation_of(const registry::VerifiedManifest& manifest,
                                          std::string_view variant) const;

  // For status.
  struct DocumentView {
    std::string name;  // "policy", "revocations", "permits"
    std::int64_t version = 0;
    std::string target;
    std::string role;
    WallTime verified_at{};
    // Why the newest one was refused, or what is wrong with the kept copy; empty if all is well.
    std::string problem;
  };
  [[nodiscard]] std::vector<DocumentView> views() const;
  // Models that were ended here by a revocation, since the start.
  [[nodiscard]] std::uint64_t stops() const { return stops_; }
  void count_stop() { ++stops_; }

 private:
  struct Kind;
  // kPermissionDenied if a revocation of at least that strength names it.
  [[nodiscard]] Result<void> check_revoked(const registry::VerifiedManifest& manifest,
                                           std::string_view variant,
                                           security::RevocationEffect least) const;
  Result<bool> update(Kind& kind, TargetReader& reader);
  void refuse(Kind& kind, const Error& error);
  void parse_current();
  Result<std::optional<security::DowngradePermit>> permit_for(
      const registry::VerifiedManifest& manifest,
      std::uint64_t use,
      std::vector<std::string>& warnings);

  Core& core_;
  AuditWriter& audit_;
  registry::Catalogue& catalogue_;
  DeviceTime& time_;
  std::function<std::string()> device_id_;
  std::function<void()> on_change_;
  std::vector<std::unique_ptr<Kind>> kinds_;
  // One refresh at a time, and one use of a permit.
  std::mutex refreshing_;
  std::mutex using_;
  mutable std::mutex mutex_;
  std::shared_ptr<const security::Policy> policy_;
  std::shared_ptr<const security::Revocations> revocations_;
  std::shared_ptr<const security::DowngradePermits> permits_;
  std::atomic<std::uint64_t> stops_{0};
};

}  // namespace skerry::agent
