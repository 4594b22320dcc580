#pragma once

// The four top-level roles of The Update Framework (specification 1.0.34, section 4) as values, and
// the parser that turns a file's bytes into one. Parsing checks form and limits, never trust: that
// is `TrustedSet`. Unknown members are kept in the signed bytes and otherwise ignored, as the
// specification asks.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/key.hpp"

namespace skerry::security::tuf {

enum class Role { kRoot, kTimestamp, kSnapshot, kTargets };

// "root", "timestamp", "snapshot", "targets".
std::string_view to_string(Role role) noexcept;
Result<Role> parse_role(std::string_view name);

// Limits on what is parsed; more is kTooLarge or kParse.
struct MetadataLimits {
  static constexpr std::size_t kRootBytes = 512U << 10U;
  static constexpr std::size_t kTimestampBytes = 16U << 10U;
  static constexpr std::size_t kSnapshotBytes = 2U << 20U;
  static constexpr std::size_t kTargetsBytes = 8U << 20U;
  static constexpr std::size_t kSignatures = 64;
  static constexpr std::size_t kKeys = 256;
  static constexpr std::size_t kTargets = 100000;
  static constexpr std::size_t kDelegations = 1024;
  static constexpr std::size_t kPathLength = 512;
  static std::size_t bytes(Role role) noexcept;
};

struct Signature {
  std::string keyid;
  Bytes value;
};

// Keys by id. A key of an unknown type is kept as JSON and cannot verify anything.
struct KeyTable {
  std::map<std::string, PublicKey, std::less<>> usable;
  Json::Object all;
};

struct RoleKeys {
  std::vector<std::string> keyids;
  std::int64_t threshold = 1;
};

// What a role's file says of another file.
struct MetaFile {
  std::int64_t version = 0;
  std::optional<std::uint64_t> length;
  // Algorithm to lower-case hexadecimal: "sha256", "sha512"; others are kept and not checked.
  std::map<std::string, std::string, std::less<>> hashes;
};

// A target: for Skerry the manifest of one model version.
struct TargetFile {
  std::uint64_t length = 0;
  std::map<std::string, std::string, std::less<>> hashes;
  // {"type": "model-manifest", "release_counter": 7, "min_agent": "0.1.0", "not_after"?: …}
  Json custom;

  // kMetadataMismatch unless a sha256 is given and `content` has this length and these hashes.
  [[nodiscard]] Result<void> check(std::string_view content) const;
  [[nodiscard]] Result<Digest> sha256() const;
  // Monotonic per model; 0 if absent.
  [[nodiscard]] std::int64_t release_counter() const;
  [[nodiscard]] std::string min_agent() const;
  [[nodiscard]] std::optional<WallTime> not_after() const;
};

// A delegated role: parsed and kept; traversal comes with the delegations issue.
struct DelegatedRole {
  std::string name;
  RoleKeys keys;
  bool terminating = false;
  std::vector<std::string> paths;
  std::vector<std::string> path_hash_prefixes;
};

struct Delegations {
  KeyTable keys;
  std::vector<DelegatedRole> roles;
};

struct CommonSigned {
  std::int64_t version = 0;
  WallTime expires{};
  // "x-skerry-issued": when it was signed, for the time floor; absent in other tools' metadata.
  std::optional<WallTime> issued;
};

struct Root : CommonSigned {
  static constexpr Role kRole = Role::kRoot;
  bool consistent_snapshot = true;
  KeyTable keys;
  std::map<std::string, RoleKeys, std::less<>> roles;
  // The role's keys and threshold; parse guarantees that all four are there.
  [[nodiscard]] const RoleKeys& keys_of(Role role) const;
};

struct Timestamp : CommonSigned {
  static constexpr Role kRole = Role::kTimestamp;
  MetaFile snapshot;
};

struct Snapshot : CommonSigned {
  static constexpr Role kRole = Role::kSnapshot;
  // "targets.json" and one entry per delegated role.
  std::map<std::string, MetaFile, std::less<>> meta;
};

struct Targets : CommonSigned {
  static constexpr Role kRole = Role::kTargets;
  std::map<std::string, TargetFile, std::less<>> targets;
  std::optional<Delegations> delegations;
};

// One parsed file.
template <class T>
struct Envelope {
  T content;
  std::vector<Signature> signatures;
  // What the signatures are over: the canonical form of `signed`.
  std::string canonical;
  // The file, byte for byte.
  std::string bytes;
};

// kTooLarge, kParse (naming the path of the bad value), kMetadataMismatch for another `_type` or
// spec_version.
Result<Envelope<Root>> parse_root(std::string_view bytes);
Result<Envelope<Timestamp>> parse_timestamp(std::string_view bytes);
Result<Envelope<Snapshot>> parse_snapshot(std::string_view bytes);
Result<Envelope<Targets>> parse_targets(std::string_view bytes);

// TUF 5.3.4, 5.4.2, 5.5.3, 5.6.3: at least `threshold` different keys of the role signed. A key
// counts once, whatever ids it goes by. kThresholdNotMet says how many of how many and by whom.
Result<void> verify_threshold(const RoleKeys& role,
                              const KeyTable& keys,
                              const std::vector<Signature>& signatures,
                              std::string_view canonical,
                              std::string_view role_name);

// A path that a target may have: relative, '/'-separated, no empty, "." or ".." part, no control
// character, at most kPathLength.
Result<void> check_target_path(std::string_view path);

// Length and hashes of `content` against `meta` where they are given (TUF 5.5.2, 5.6.2).
Result<void> check_meta_file(const MetaFile& meta, std::string_view content, std::string_view name);

}  // namespace skerry::security::tuf
