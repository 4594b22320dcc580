#pragma once

// The rules of TUF 1.0.34, section 5, and nothing else: no files, no network. Bytes go in, in the
// order root*, timestamp, snapshot, targets, delegated roles; what was refused leaves the set as it
// was. Each rule is cited where it is enforced (src/tuf/trusted_set.cpp). `Client`
// drives it; tests attack it. Not thread-safe.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/security/trusted_time.hpp"
#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

// Expired metadata that was accepted because nobody vouches for the clock.
struct ExpiryWarning {
  RoleName role = Role::kRoot;
  WallTime expires{};
};

// Metadata of a delegated role that was verified for the delegation it was reached by.
using DelegatedTargets = std::shared_ptr<const Envelope<Targets>>;

class TrustedSet {
 public:
  // TUF 5.2: `root` is trusted because it was provisioned (or stored by us); its own signatures are
  // still checked. TUF 5.1: `time` is the one update start time of every expiry check.
  static Result<TrustedSet> create(std::string_view root, TrustedTime time);

  // TUF 5.3.4 to 5.3.8. The next root in sequence, signed by the old and the new keys.
  Result<void> update_root(std::string_view bytes);
  // TUF 5.3.10: call when there are no more roots. Also required before the other roles.
  Result<void> finish_root();

  // What was trusted before, from the store. They are loaded like new ones but may have expired; an
  // error means that the stored file no longer counts and is to be ignored. What the keys of
  // timestamp or snapshot signed before a rotation is not loaded at all: `Client` drops both (TUF
  // 5.3.11, the recovery from a fast-forward attack).
  Result<void> load_trusted_timestamp(std::string_view bytes);
  Result<void> load_trusted_snapshot(std::string_view bytes);
  Result<void> load_trusted_targets(std::string_view bytes);

  // TUF 5.4. True: it is new. False: the same version as trusted, nothing changed.
  Result<bool> update_timestamp(std::string_view bytes);
  // TUF 5.5.
  Result<void> update_snapshot(std::string_view bytes);
  // TUF 5.6 for the top-level targets role.
  Result<void> update_targets(std::string_view bytes);

  // TUF 5.6 for the role that `by`, the delegations of a verified role, describe as `role`. The
  // result is good for this delegation alone and nothing is remembered: two roles may delegate to a
  // third one with different keys, and what one of them vouches for the other one may not.
  Result<DelegatedTargets> verify_delegated(const Delegations& by,
                                            const DelegatedRole& role,
                                            std::string_view bytes);

  // The snapshot and targets that the trusted timestamp asks for are the trusted ones.
  [[nodiscard]] bool snapshot_current() const;
  [[nodiscard]] bool targets_current() const;
  // From here on the end of timestamp and snapshot is a warning (`ClientOptions`).
  void waive_online_expiry() { online_expiry_waived_ = true; }
  // Checks once more that the final set has not expired (a stored file may have).
  Result<void> check_final_expiry();

  [[nodiscard]] const Envelope<Root>& root() const { return root_; }
  [[nodiscard]] const Envelope<Timestamp>* timestamp() const;
  [[nodiscard]] const Envelope<Snapshot>* snapshot() const;
  [[nodiscard]] const Envelope<Targets>* targets() const;
  // What the trusted snapshot says of targets.json; null before there is one.
  [[nodiscard]] const MetaFile* targets_meta() const;
  // The same of any targets role; null if it lists none of that name.
  [[nodiscard]] const MetaFile* meta_of(const RoleName& role) const;
  [[nodiscard]] const std::vector<ExpiryWarning>& warnings() const { return warnings_; }
  [[nodiscard]] const TrustedTime& time() const { return time_; }

 private:
  TrustedSet(Envelope<Root> root, TrustedTime time);
  Result<void> check_expiry(const RoleName& role, WallTime expires);
  template <class T>
  Result<void> verify_role(const Envelope<T>& envelope) const;

  Envelope<Root> root_;
  TrustedTime time_;
  bool root_finished_ = false;
  bool online_expiry_waived_ = false;
  std::optional<Envelope<Timestamp>> timestamp_;
  std::optional<Envelope<Snapshot>> snapshot_;
  std::optional<Envelope<Targets>> targets_;
  std::vector<ExpiryWarning> warnings_;
};

}  // namespace skerry::security::tuf
