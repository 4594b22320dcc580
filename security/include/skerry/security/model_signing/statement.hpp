#pragma once

// What an OpenSSF Model Signing (OMS) signature says: which files a model has and their digests, as
// an in-toto Statement v1 (OMS 1.0, sections 5 and 6). Read from a verified envelope by verify.hpp,
// written by sign.hpp. Nothing here touches the model's files; docs/formats/model-signing.md has
// the limits.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security::model_signing {

inline constexpr std::size_t kMaxPayloadBytes = 24U << 20U;
inline constexpr std::size_t kMaxResources = 100'000;
inline constexpr std::size_t kMaxIgnorePaths = 1'000;
inline constexpr std::size_t kMaxPathBytes = 4'096;
inline constexpr std::size_t kMaxPathDepth = 64;
inline constexpr std::uint64_t kDefaultShardSize = 1'000'000'000;

// One digest per file, or one per byte range of a file (OMS 6.3).
enum class Method { kFiles, kShards };
// OMS 7; BLAKE3 is optional there and not supported here.
enum class HashType { kSha256, kBlake2b };

// "files", "shards"; "sha256", "blake2b".
std::string_view to_string(Method method) noexcept;
std::string_view to_string(HashType type) noexcept;

struct Serialization {
  Method method = Method::kFiles;
  HashType hash = HashType::kSha256;
  // Bytes per shard; 0 with Method::kFiles.
  std::uint64_t shard_size = 0;
  bool allow_symlinks = false;
  // As they are written; entries that cannot name anything inside a model match nothing.
  std::vector<std::string> ignore_paths;
};

struct Resource {
  // Relative to the model's root with '/', canonical (OMS 6.1.2); "." for a model of one file that
  // an older signer wrote.
  std::string path;
  // The byte range [start, end) with Method::kShards; both 0 otherwise.
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  Bytes digest;

  friend bool operator==(const Resource&, const Resource&) = default;
};

struct Statement {
  // Informational: the base name of the model's path where it was signed.
  std::string model_name;
  Serialization serialization;
  std::vector<Resource> resources;
  // SHA-256 of the resources' digests in their order (OMS 6.5.1).
  Digest root;
};

// The predicate of version 0.2.0, which OMS 5.1 lets a verifier support: digests in the subjects,
// no serialization record. Refused unless asked for.
enum class Legacy { kRefuse, kAccept };

// kParse names the member that is wrong, kTooLarge the limit, kUnimplemented a hash type or method
// that is not known here. Checked: `_type`, `predicateType`, one subject, the root digest,
// canonical and distinct names, every algorithm equal to the serialization's hash type.
Result<Statement> parse_statement(std::string_view payload, Legacy legacy = Legacy::kRefuse);

// The payload that is signed. Sorts the resources by name (OMS 6.4) and sets `root`.
// kInvalidArgument if there are no resources or one has a name that `parse_statement` refuses.
Result<std::string> write_statement(Statement& statement);

// Whether `path` may name a resource: relative, no empty, "." or ".." component, within the limits.
// kParse says why not.
Result<void> check_resource_path(std::string_view path);

}  // namespace skerry::security::model_signing
