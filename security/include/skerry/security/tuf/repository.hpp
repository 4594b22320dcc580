#pragma once

// Making and maintaining a TUF repository in a directory: `skerry repo …` (offline keys) and the
// controller (online key). Changes to root, targets and delegated roles are staged, signed by one
// key after another, perhaps on other machines, and published when their thresholds are met;
// publishing makes a new snapshot and timestamp with the online key.
//
//   <dir>/metadata/{N.root,N.targets,N.<delegated>,N.snapshot}.json, timestamp.json   what is
//   served <dir>/staging/{root,targets,<delegated>}.json                what waits for signatures
//
// Each call leaves the directory valid if it fails or the machine stops. One process at a time.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

// Who may sign for a role; private to the repository tools.
struct Signers;

struct RoleSetup {
  std::vector<PublicKey> keys;
  std::int64_t threshold = 1;
};

struct RootSetup {
  RoleSetup root;
  RoleSetup targets;
  RoleSetup snapshot;
  RoleSetup timestamp;
};

struct RepositoryLifetimes {
  std::chrono::hours root{365 * 24};
  std::chrono::hours targets{365 * 24};
  std::chrono::hours snapshot{30 * 24};
  std::chrono::hours timestamp{7 * 24};
};

// A role that the top-level targets trusts with some paths (metadata.hpp, `DelegatedRole`).
struct DelegationSetup {
  std::string name;
  RoleSetup keys;
  // Patterns: "models/acme/*/*".
  std::vector<std::string> paths;
  // Nobody further down the list is asked about its paths.
  bool terminating = true;
};

// What changes about who signs for a role.
struct KeyChange {
  std::vector<PublicKey> add;
  // Key ids.
  std::vector<std::string> remove;
  std::optional<std::int64_t> threshold;
};

// A signature that a staged or published file has or lacks.
struct KeyStatus {
  std::string keyid;
  std::string algorithm;
  bool signed_by = false;
};

struct RoleStatus {
  RoleName role = Role::kRoot;
  // 0: nothing published.
  std::int64_t published_version = 0;
  std::optional<WallTime> expires;
  // What waits in staging/.
  std::optional<std::int64_t> staged_version;
  std::int64_t threshold = 0;
  // Valid signatures on the staged file (root: by the new keys), and those needed of the old root.
  std::int64_t signatures = 0;
  bool ready = false;
  std::vector<KeyStatus> keys;
};

struct RepositoryStatus {
  std::vector<RoleStatus> roles;
  std::size_t targets = 0;
};

class Repository {
 public:
  // Makes the directory and stages root 1 and an empty targets 1. kAlreadyExists if there is a
  // repository. kInvalidArgument if a threshold is not between 1 and the number of its keys.
  static Result<std::unique_ptr<Repository>> init(FileSystem& fs,
                                                  std::filesystem::path directory,
                                                  const RootSetup& setup,
                                                  const RepositoryLifetimes& lifetimes,
                                                  WallTime now);
  // A working copy of a repository that others keep, for those who sign one of its roles: it starts
  // from `root`, which is trusted for what it is. kAlreadyExists as above; kThresholdNotMet for a
  // root that its own keys did not sign.
  static Result<std::unique_ptr<Repository>> join(FileSystem& fs,
                                                  std::filesystem::path directory,
                                                  std::string_view root);
  static Result<std::unique_ptr<Repository>> open(FileSystem& fs, std::filesystem::path directory);

  // Adds or replaces an entry in the staged targets, or in those of a delegated role (staging a
  // next version if none is). kPermissionDenied if the delegation does not cover the path.
  Result<void> add_target(std::string_view path,
                          const TargetFile& target,
                          const RepositoryLifetimes& lifetimes,
                          WallTime now,
                          const RoleName& role = Role::kTargets);
  // The same for a file at hand: length and SHA-256 are taken from `content`.
  Result<void> add_target_content(std::string_view path,
                                  std::string_view content,
                                  const Json& custom,
                                  const RepositoryLifetimes& lifetimes,
                                  WallTime now);
  Result<void> remove_target(std::string_view path,
                             const RepositoryLifetimes& lifetimes,
                             WallTime now,
                             const RoleName& role = Role::kTargets);
  // Stages the next root with these keys; needs signatures by both the old and the new threshold.
  Result<void> rotate_root(const RootSetup& setup,
                           const RepositoryLifetimes& lifetimes,
                           WallTime now);
  // Stages the next root (top-level role) or targets (delegated role) with other keys for the role.
  // What the role published, and its new keys do not vouch for, is staged again to be signed.
  // kNotFound for a role or key that is not there, kAlreadyExists for a key that is, and
  // kInvalidArgument for a threshold that the keys cannot meet; then nothing is staged.
  Result<void> change_keys(const RoleName& role,
                           const KeyChange& change,
                           const RepositoryLifetimes& lifetimes,
                           WallTime now);
  // Removes a key from every role that lists it; gives their names. As `change_keys`.
  Result<std::vector<RoleName>> revoke_key(std::string_view keyid,
                                           const RepositoryLifetimes& lifetimes,
                                           WallTime now);
  // Stages targets with one more delegation, last in its list, and the role's empty first metadata.
  // kAlreadyExists if there is a delegation of that name.
  Result<void> delegate(const DelegationSetup& setup,
                        const RepositoryLifetimes& lifetimes,
                        WallTime now);
  // Stages targets without the delegation. What the role has published stays listed in snapshots
  // (TUF 5.5.5), and nobody trusts it any more.
  Result<void> revoke_delegation(const RoleName& role,
                                 const RepositoryLifetimes& lifetimes,
                                 WallTime now);
  // The delegations of the targets that are staged or else published, in order.
  [[nodiscard]] Result<Delegations> delegations() const;
  // The top-level roles and the delegated ones that wait for signatures.
  [[nodiscard]] Result<std::vector<RoleName>> staged_roles() const;

  // Stages the same content with the next version and a new end.
  Result<void> renew(const RoleName& role, const RepositoryLifetimes& lifetimes, WallTime now);

  // Adds `key`'s signature to the staged file. kFailedPrecondition if nothing is staged,
  // kPermissionDenied if the key is none of the role's.
  Result<void> sign(const RoleName& role, const Signer& key);
  // The staged file, to be signed elsewhere by `sign_metadata`.
  [[nodiscard]] Result<std::string> staged(const RoleName& role) const;
  // Takes a file signed elsewhere: merges its valid signatures if it is the staged content
  // (kSignatureInvalid if it has none), or stages it if it is the next version.
  Result<void> submit(const RoleName& role, std::string_view bytes);
  // The role whose staged content `bytes` have; kNotFound if there is none.
  [[nodiscard]] Result<RoleName> role_of_staged(std::string_view bytes) const;
  Result<void> discard(const RoleName& role);

  // Publishes staged root, targets and delegated roles whose thresholds are met (kThresholdNotMet
  // if one is not), then a new snapshot if something changed and a new timestamp, by the online
  // keys.
  Result<void> publish(const Signer& snapshot_key,
                       const Signer& timestamp_key,
                       const RepositoryLifetimes& lifetimes,
                       WallTime now);
  // A new timestamp (and a snapshot if it ends before the timestamp would): the controller's daily
  // task.
  Result<void> refresh_online(const Signer& snapshot_key,
                              const Signer& timestamp_key,
                              const RepositoryLifetimes& lifetimes,
                              WallTime now);

  [[nodiscard]] Result<RepositoryStatus> status() const;
  // A published metadata file by its served name ("3.targets.json"); kNotFound otherwise.
  [[nodiscard]] Result<std::string> read(std::string_view name) const;
  // The published (or, before the first publication, staged) root, for provisioning devices.
  [[nodiscard]] Result<std::string> current_root() const;
  [[nodiscard]] Result<Targets> published_targets() const;
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }

 private:
  Repository(FileSystem& fs, std::filesystem::path directory);
  [[nodiscard]] std::filesystem::path metadata_path(std::string_view name) const;
  [[nodiscard]] std::filesystem::path staging_path(const RoleName& role) const;
  // 0 if none is published.
  [[nodiscard]] Result<std::int64_t> latest_version(const RoleName& role) const;
  [[nodiscard]] Result<std::optional<std::string>> load_published(const RoleName& role) const;
  [[nodiscard]] Result<std::optional<std::string>> load_staged(const RoleName& role) const;
  // The root that staged files answer to: the staged one if there is one.
  [[nodiscard]] Result<Envelope<Root>> governing_root() const;
  [[nodiscard]] Result<Json> next_signed(const RoleName& role,
                                         const RepositoryLifetimes& lifetimes,
                                         WallTime now) const;
  // By the governing root, or for a delegated role by the targets that delegate to it.
  [[nodiscard]] Result<Signers> signers_for(const RoleName& role) const;
  // Those of the file's signers that count for the role: its keys, or the old root's for a root.
  [[nodiscard]] Result<std::set<std::string>> valid_signers(const RoleName& role,
                                                            std::string_view bytes) const;
  // kPermissionDenied if devices would not look for `path` in the delegated role.
  [[nodiscard]] Result<void> check_covers(const RoleName& role, std::string_view path) const;
  // Root, targets, and the delegated roles in order of their delegation.
  [[nodiscard]] Result<std::vector<RoleName>> offline_roles() const;
  // Stages the role's published content anew if its present keys do not vouch for it.
  Result<void> restage_unless_signed(const RoleName& role,
                                     const RepositoryLifetimes& lifetimes,
                                     WallTime now);
  Result<void> stage(const RoleName& role, Json signed_part);
  [[nodiscard]] Result<void> check_ready(const RoleName& role) const;
  [[nodiscard]] Result<RoleStatus> role_status(const RoleName& role) const;
  Result<void> move_to_published(const RoleName& role);
  Result<void> publish_snapshot(const Signer& key,
                                const Envelope<Root>& root,
                                const RepositoryLifetimes& lifetimes,
                                WallTime now);
  Result<void> publish_timestamp(const Signer& key,
                                 const RepositoryLifetimes& lifetimes,
                                 WallTime now);

  FileSystem& fs_;
  std::filesystem::path directory_;
};

// Adds (or replaces) `key`'s signature in a metadata file: the offline half of signing. The role
// and its content are not judged here; show `describe_metadata` to the person who signs.
Result<std::string> sign_metadata(std::string_view bytes, const Signer& key);

// Lines for people: role, version, expiry, what it lists, who signed.
Result<std::string> describe_metadata(std::string_view bytes);

}  // namespace skerry::security::tuf
