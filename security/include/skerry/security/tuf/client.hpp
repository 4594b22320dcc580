#pragma once

// The device's TUF client: drives `TrustedSet` with a `Fetcher` (controller, USB, peer: the only
// seam to the outside) and a `MetadataStore`. Used by the agent through the registry. After
// `refresh` the registry writes what was verified; activation never runs TUF again. Synchronous:
// the agent offloads it. Not thread-safe.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/security/trusted_time.hpp"
#include "skerry/security/tuf/metadata_store.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace skerry::security::tuf {

class Fetcher {
 public:
  virtual ~Fetcher() = default;
  // The metadata file `name` ("7.root.json", "timestamp.json"; delegated roles percent-encoded:
  // `encode_role_name`), at most `limit` bytes: kTooLarge as
  // soon as there are more, kNotFound if the source says that there is none. May block.
  virtual Result<std::string> fetch(std::string_view name, std::size_t limit) = 0;
};

struct ClientOptions {
  // TUF 5.3.3 (Y): root rotations taken in one refresh; the rest follows at the next one.
  std::uint32_t max_root_rotations = 1024;
  // TUF 5.6.7.1: delegated roles visited, and delegations followed one from another, in one lookup.
  std::uint32_t max_delegated_roles = 64;
  std::uint32_t max_delegation_depth = 16;
  // Bundles: an expired timestamp or snapshot is a warning, since whoever carries a stick cannot
  // ask for a fresher one; another repository says then that it may be used. All the rest,
  // versions above all, stays as it is (Uptane PURE-2, step 8.4).
  bool waive_online_expiry = false;
};

// A target and who listed it.
struct FoundTarget {
  TargetFile file;
  RoleName role = Role::kTargets;
  std::int64_t role_version = 0;
  // A path that the role lists although no delegation gives it to the role; empty if there is none.
  // It is never found, and says that the role's keys are not used as agreed.
  std::string stray;
};

struct RefreshOutcome {
  std::int64_t root_version = 0;
  std::int64_t timestamp_version = 0;
  std::int64_t snapshot_version = 0;
  std::int64_t targets_version = 0;
  // Targets are other than before.
  bool changed = false;
  // Expired, but accepted because the clock is not attested. New installs need the policy's leave.
  std::vector<ExpiryWarning> warnings;
  // When the newest timestamp was made, for `TimeFloor::raise`; absent if it does not say.
  std::optional<WallTime> issued;
};

class Client {
 public:
  // `store` and `fetcher` must outlive the client.
  Client(MetadataStore& store, Fetcher& fetcher, ClientOptions options = {});

  // Provisioning: trusts `root` if nothing is trusted yet. A different root than the stored chain's
  // is ignored: trust is never replaced from outside.
  Result<void> bootstrap(std::string_view root);

  // TUF section 5 for the top-level roles. Everything verified is in the store on return, also the
  // part before a failure. Errors: kSignatureInvalid, kThresholdNotMet, kRollback,
  // kMetadataExpired, kMetadataMismatch, kTooLarge, kParse, and what the fetcher and store give.
  // kFailedPrecondition before `bootstrap`.
  Result<RefreshOutcome> refresh(TrustedTime time);

  // Reads the trusted targets from the store without a network and without expiry: what was
  // verified last. kFailedPrecondition if there are none.
  Result<void> load(TrustedTime time);

  // TUF 5.6.7, after `refresh` or `load`: the first role in a pre-order walk of the delegations
  // that lists `path`. Fetches and keeps delegated metadata where the store has not what the
  // snapshot names, so it may block. kNotFound if no role lists it, kTooLarge at the limits of the
  // options; else what ended the search: a role on the way that could not be fetched or verified.
  Result<FoundTarget> lookup(std::string_view path);

  // The metadata of a role that the top-level targets delegate to, verified as `lookup` does it,
  // after `refresh` or `load`. kMetadataMismatch unless that delegation covers `path`, an example
  // of what the role is for.
  Result<DelegatedTargets> load_role(std::string_view name, std::string_view path);

  // Of the top-level role alone, after `refresh` or `load`. Null if there is none by that path.
  [[nodiscard]] const TargetFile* find_target(std::string_view path) const;
  [[nodiscard]] const Targets* targets() const;
  // TUF 5.7.3: targets are served as "HASH.name". After `refresh` or `load`.
  [[nodiscard]] bool consistent_snapshot() const;

 private:
  Result<TrustedSet> open_trusted(TrustedTime time);
  void load_stored(TrustedSet& set);
  Result<void> refresh_root(TrustedSet& set);
  Result<void> refresh_timestamp(TrustedSet& set);
  Result<void> refresh_snapshot(TrustedSet& set);
  Result<bool> refresh_targets(TrustedSet& set);
  Result<DelegatedTargets> load_delegated(const Delegations& by, const DelegatedRole& role);
  Result<void> keep(const RoleName& role, std::int64_t version, const std::string& bytes);

  MetadataStore& store_;
  Fetcher& fetcher_;
  ClientOptions options_;
  std::optional<TrustedSet> trusted_;
};

// Serves a directory of metadata files: a repository's `metadata/`, a USB stick.
class DirectoryFetcher final : public Fetcher {
 public:
  DirectoryFetcher(FileSystem& fs, std::filesystem::path directory);
  Result<std::string> fetch(std::string_view name, std::size_t limit) override;

 private:
  FileSystem& fs_;
  std::filesystem::path directory_;
};

}  // namespace skerry::security::tuf
