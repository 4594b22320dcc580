#pragma once

// The four top-level roles of The Update Framework (specification 1.0.34, section 4) and the
// delegated ones as values, and the parser that turns a file's bytes into one. Parsing checks form
// and limits, never trust: that is `TrustedSet`. Unknown members are kept in the signed bytes and
// otherwise ignored, as the specification asks.

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

// Any role by its name: a top-level one, or a delegated one under the name its delegator gave it.
class RoleName {
 public:
  // Implicit: every top-level role is a role.
  RoleName(Role role) : text_(to_string(role)) {}  // NOLINT(google-explicit-constructor)
  // `name` is none of the top-level four; parsing a delegation guarantees that.
  explicit RoleName(std::string name) : text_(std::move(name)) {}

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] bool is_delegated() const { return !parse_role(text_); }
  friend bool operator==(const RoleName&, const RoleName&) = default;
  friend auto operator<=>(const RoleName&, const RoleName&) = default;

 private:
  std::string text_;
};

inline std::string_view to_string(const RoleName& role) noexcept {
  return role.text();
}

// How the role's file is formed: a delegated role's like that of targets.
Role shape_of(const RoleName& role);

// The name as part of a file name or of a URL path: all but letters, digits and "-._~" is
// percent-encoded, so that "../x" or "a/b" stays one harmless component.
std::string encode_role_name(const RoleName& role);
// The role of such a name; kInvalidArgument unless `encode_role_name` gives this very text for it.
Result<RoleName> decode_role_name(std::string_view text);

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
  // Of one delegated role: patterns, or hash prefixes (a hash bin of 2^14 has one per prefix).
  static constexpr std::size_t kPathPatterns = 16384;
  static constexpr std::size_t kPathLength = 512;
  // Percent-encoded, with a version in front and ".json" behind, it is still a file name.
  static constexpr std::size_t kRoleName = 72;
  static std::size_t bytes(Role role) noexcept;
};

// `value` is empty where the file holds no hexadecimal text: a signer's place that is not signed
// yet (other tools write ""), or rubbish. Neither verifies, and neither spoils the others'
// signatures.
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

  // kMetadataMismatch unless `content` has this length and these hashes, of which at least one is a
  // sha256 or sha512.
  [[nodiscard]] Result<void> check(std::string_view content) const;
  [[nodiscard]] Result<Digest> sha256() const;
  // Monotonic per model; 0 if absent.
  [[nodiscard]] std::int64_t release_counter() const;
  [[nodiscard]] std::string min_agent() const;
  [[nodiscard]] std::optional<WallTime> not_after() const;
};

// A role that another one trusts with some target paths (TUF 4.5); which ones: delegation.hpp.
struct DelegatedRole {
  std::string name;
  RoleKeys keys;
  bool terminating = false;
  std::vector<std::string> paths;
  std::vector<std::string> path_hash_prefixes;
};

// Equal bins that share keys and are named by number (TAP 15): 2^bit_length roles, of which the
// first bits of a path's SHA-256 choose one.
struct SuccinctRoles {
  RoleKeys keys;
  std::uint32_t bit_length = 0;
  std::string name_prefix;
};

// Either a list of roles or succinct ones; without both, nothing is delegated.
struct Delegations {
  KeyTable keys;
  std::vector<DelegatedRole> roles;
  std::optional<SuccinctRoles> succinct;
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
