#include "skerry/security/tuf/trusted_set.hpp"

#include <algorithm>
#include <utility>

namespace skerry::security::tuf {

namespace {

Error out_of_order(std::string_view what) {
  return Error{Error::Code::kFailedPrecondition, std::string{what}};
}

Error rollback(const RoleName& role, std::int64_t version, std::int64_t trusted) {
  return Error{Error::Code::kRollback,
               role.text() + " version " + std::to_string(version) +
                   " is older than the trusted version " + std::to_string(trusted)};
}

Error wrong_version(const RoleName& role, std::int64_t version, std::int64_t expected) {
  return Error{Error::Code::kMetadataMismatch,
               role.text() + " has version " + std::to_string(version) + ", expected " +
                   std::to_string(expected)};
}

}  // namespace

TrustedSet::TrustedSet(Envelope<Root> root, TrustedTime time)
    : root_(std::move(root)), time_(time) {}

template <class T>
Result<void> TrustedSet::verify_role(const Envelope<T>& envelope) const {
  return verify_threshold(root_.content.keys_of(T::kRole),
                          root_.content.keys,
                          envelope.signatures,
                          envelope.canonical,
                          to_string(T::kRole));
}

Result<void> TrustedSet::check_expiry(const RoleName& role, WallTime expires) {
  if (expires > time_.now) {
    return {};
  }
  const bool waived = online_expiry_waived_ &&
                      (role == RoleName{Role::kTimestamp} || role == RoleName{Role::kSnapshot});
  if (time_.attested() && !waived) {
    return Error{Error::Code::kMetadataExpired,
                 role.text() + " metadata ended at " + to_rfc3339(expires) + "; it is now " +
                     to_rfc3339(time_.now)};
  }
  // Nobody vouches for the clock (or it was waived): a gateway with a flat battery must not be cut
  // off, and one whose clock was turned back gains nothing, since versions stay hard.
  const bool known = std::any_of(warnings_.begin(), warnings_.end(), [&](const ExpiryWarning& w) {
    return w.role == role && w.expires == expires;
  });
  if (!known) {
    warnings_.push_back(ExpiryWarning{role, expires});
  }
  return {};
}

Result<TrustedSet> TrustedSet::create(std::string_view root, TrustedTime time) {
  auto envelope = parse_root(root);
  if (!envelope) {
    return std::move(envelope).error();
  }
  TrustedSet set{std::move(*envelope), time};
  // TUF 5.2: expiry does not matter for the root one starts from; its own signatures do.
  if (auto verified = set.verify_role(set.root_); !verified) {
    return verified.error();
  }
  return set;
}

Result<void> TrustedSet::update_root(std::string_view bytes) {
  if (root_finished_) {
    return out_of_order("roots come before the other roles");
  }
  auto fresh = parse_root(bytes);
  if (!fresh) {
    return std::move(fresh).error();
  }
  // TUF 5.3.4: signed by a threshold of the keys in the trusted root ...
  if (auto verified = verify_role(*fresh); !verified) {
    return verified.error().with_context("by the trusted root's keys");
  }
  // ... and by a threshold of the keys in the new root.
  if (auto verified = verify_threshold(fresh->content.keys_of(Role::kRoot),
                                       fresh->content.keys,
                                       fresh->signatures,
                                       fresh->canonical,
                                       to_string(Role::kRoot));
      !verified) {
    return verified.error().with_context("by its own keys");
  }
  // TUF 5.3.5: exactly the next version.
  const std::int64_t expected = root_.content.version + 1;
  if (fresh->content.version != expected) {
    return fresh->content.version < expected
               ? rollback(Role::kRoot, fresh->content.version, root_.content.version)
               : wrong_version(Role::kRoot, fresh->content.version, expected);
  }
  // TUF 5.3.6: expiry of intermediate roots does not matter. TUF 5.3.7: it is the trusted one now.
  root_ = std::move(*fresh);
  return {};
}

Result<void> TrustedSet::finish_root() {
  // TUF 5.3.10: the final root must not have expired.
  if (auto live = check_expiry(Role::kRoot, root_.content.expires); !live) {
    return live;
  }
  root_finished_ = true;
  return {};
}

Result<void> TrustedSet::load_trusted_timestamp(std::string_view bytes) {
  auto stored = parse_timestamp(bytes);
  if (!stored) {
    return std::move(stored).error();
  }
  if (auto verified = verify_role(*stored); !verified) {
    return verified;
  }
  timestamp_ = std::move(*stored);
  return {};
}

Result<void> TrustedSet::load_trusted_snapshot(std::string_view bytes) {
  auto stored = parse_snapshot(bytes);
  if (!stored) {
    return std::move(stored).error();
  }
  if (auto verified = verify_role(*stored); !verified) {
    return verified;
  }
  snapshot_ = std::move(*stored);
  return {};
}

Result<void> TrustedSet::load_trusted_targets(std::string_view bytes) {
  auto stored = parse_targets(bytes);
  if (!stored) {
    return std::move(stored).error();
  }
  if (auto verified = verify_role(*stored); !verified) {
    return verified;
  }
  targets_ = std::move(*stored);
  return {};
}

Result<bool> TrustedSet::update_timestamp(std::string_view bytes) {
  if (!root_finished_) {
    return out_of_order("timestamp before the root is final");
  }
  auto fresh = parse_timestamp(bytes);
  if (!fresh) {
    return std::move(fresh).error();
  }
  // TUF 5.4.2.
  if (auto verified = verify_role(*fresh); !verified) {
    return verified.error();
  }
  if (timestamp_) {
    const Timestamp& trusted = timestamp_->content;
    // TUF 5.4.3.1: no older timestamp; the same one is normal and changes nothing.
    if (fresh->content.version < trusted.version) {
      return rollback(Role::kTimestamp, fresh->content.version, trusted.version);
    }
    if (fresh->content.version == trusted.version) {
      return false;
    }
    // TUF 5.4.3.2: no older snapshot either.
    if (fresh->content.snapshot.version < trusted.snapshot.version) {
      return rollback(Role::kSnapshot, fresh->content.snapshot.version, trusted.snapshot.version);
    }
  }
  // TUF 5.4.4.
  if (auto live = check_expiry(Role::kTimestamp, fresh->content.expires); !live) {
    return live.error();
  }
  timestamp_ = std::move(*fresh);
  return true;
}

Result<void> TrustedSet::update_snapshot(std::string_view bytes) {
  if (!root_finished_ || !timestamp_) {
    return out_of_order("snapshot before the timestamp");
  }
  // The timestamp may be a stored one (TUF 5.4.3.1, equal versions): it must be alive to vouch.
  if (auto live = check_expiry(Role::kTimestamp, timestamp_->content.expires); !live) {
    return live;
  }
  const MetaFile& meta = timestamp_->content.snapshot;
  // TUF 5.5.2: hashes and length as in the timestamp, before the bytes are parsed.
  if (auto same = check_meta_file(meta, bytes, "snapshot.json"); !same) {
    return same;
  }
  auto fresh = parse_snapshot(bytes);
  if (!fresh) {
    return std::move(fresh).error();
  }
  // TUF 5.5.3.
  if (auto verified = verify_role(*fresh); !verified) {
    return verified;
  }
  // TUF 5.5.4: the version that the timestamp names.
  if (fresh->content.version != meta.version) {
    return wrong_version(Role::kSnapshot, fresh->content.version, meta.version);
  }
  if (snapshot_) {
    // TUF 5.5.5: no file it lists may be older than before, and none may disappear.
    for (const auto& [name, trusted] : snapshot_->content.meta) {
      const auto now = fresh->content.meta.find(name);
      if (now == fresh->content.meta.end()) {
        return Error{Error::Code::kRollback, "the new snapshot no longer lists " + name};
      }
      if (now->second.version < trusted.version) {
        return Error{Error::Code::kRollback,
                     "the new snapshot lists " + name + " version " +
                         std::to_string(now->second.version) + ", older than the trusted version " +
                         std::to_string(trusted.version)};
      }
    }
  }
  // TUF 5.5.6.
  if (auto live = check_expiry(Role::kSnapshot, fresh->content.expires); !live) {
    return live;
  }
  snapshot_ = std::move(*fresh);
  return {};
}

Result<void> TrustedSet::update_targets(std::string_view bytes) {
  if (!snapshot_current()) {
    return out_of_order("targets before the snapshot that the timestamp names");
  }
  if (auto live = check_expiry(Role::kSnapshot, snapshot_->content.expires); !live) {
    return live;
  }
  const MetaFile& meta = *targets_meta();
  // TUF 5.6.2.
  if (auto same = check_meta_file(meta, bytes, "targets.json"); !same) {
    return same;
  }
  auto fresh = parse_targets(bytes);
  if (!fresh) {
    return std::move(fresh).error();
  }
  // TUF 5.6.3.
  if (auto verified = verify_role(*fresh); !verified) {
    return verified;
  }
  // TUF 5.6.4: the version that the snapshot names.
  if (fresh->content.version != meta.version) {
    return wrong_version(Role::kTargets, fresh->content.version, meta.version);
  }
  // TUF 5.6.5.
  if (auto live = check_expiry(Role::kTargets, fresh->content.expires); !live) {
    return live;
  }
  targets_ = std::move(*fresh);
  return {};
}

Result<DelegatedTargets> TrustedSet::verify_delegated(const Delegations& by,
                                                      const DelegatedRole& role,
                                                      std::string_view bytes) {
  if (!targets_current()) {
    return out_of_order("a delegated role before the targets that the snapshot names");
  }
  const RoleName name{role.name};
  const MetaFile* meta = meta_of(name);
  if (meta == nullptr) {
    return Error{Error::Code::kMetadataMismatch,
                 "the snapshot does not list the delegated role '" + role.name + "'"};
  }
  // TUF 5.6.2.
  if (auto same = check_meta_file(*meta, bytes, role.name); !same) {
    return same.error();
  }
  auto fresh = parse_targets(bytes);
  if (!fresh) {
    return fresh.error().with_context("delegated role '" + role.name + "'");
  }
  // TUF 5.6.3: by the keys and the threshold that the delegating role gives, and no others.
  if (auto verified =
          verify_threshold(role.keys, by.keys, fresh->signatures, fresh->canonical, role.name);
      !verified) {
    return verified.error();
  }
  // TUF 5.6.4. No rollback: the snapshot's versions never go down (5.5.5).
  if (fresh->content.version != meta->version) {
    return wrong_version(name, fresh->content.version, meta->version);
  }
  // TUF 5.6.5.
  if (auto live = check_expiry(name, fresh->content.expires); !live) {
    return live.error();
  }
  return std::make_shared<const Envelope<Targets>>(std::move(*fresh));
}

bool TrustedSet::snapshot_current() const {
  return timestamp_ && snapshot_ &&
         snapshot_->content.version == timestamp_->content.snapshot.version &&
         check_meta_file(timestamp_->content.snapshot, snapshot_->bytes, "snapshot.json");
}

bool TrustedSet::targets_current() const {
  const MetaFile* meta = targets_meta();
  return snapshot_current() && targets_ && meta != nullptr &&
         targets_->content.version == meta->version &&
         check_meta_file(*meta, targets_->bytes, "targets.json");
}

Result<void> TrustedSet::check_final_expiry() {
  if (!targets_current()) {
    return out_of_order("the update is not complete");
  }
  for (const auto& [role, expires] : {std::pair{Role::kRoot, root_.content.expires},
                                      std::pair{Role::kTimestamp, timestamp_->content.expires},
                                      std::pair{Role::kSnapshot, snapshot_->content.expires},
                                      std::pair{Role::kTargets, targets_->content.expires}}) {
    if (auto live = check_expiry(role, expires); !live) {
      return live;
    }
  }
  return {};
}

const Envelope<Timestamp>* TrustedSet::timestamp() const {
  return timestamp_ ? &*timestamp_ : nullptr;
}

const Envelope<Snapshot>* TrustedSet::snapshot() const {
  return snapshot_ ? &*snapshot_ : nullptr;
}

const Envelope<Targets>* TrustedSet::targets() const {
  return targets_ ? &*targets_ : nullptr;
}

const MetaFile* TrustedSet::targets_meta() const {
  return meta_of(Role::kTargets);
}

const MetaFile* TrustedSet::meta_of(const RoleName& role) const {
  if (!snapshot_) {
    return nullptr;
  }
  const auto entry = snapshot_->content.meta.find(role.text() + ".json");
  return entry == snapshot_->content.meta.end() ? nullptr : &entry->second;
}

}  // namespace skerry::security::tuf
