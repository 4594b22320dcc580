#pragma once

// Writing TUF metadata: the JSON of each role and its signatures. Private to the repository tools.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/security/tuf/repository.hpp"

namespace skerry::security::tuf {

// Of any role: what the tools need without knowing which.
struct AnyMetadata {
  std::int64_t version = 0;
  WallTime expires{};
  std::vector<Signature> signatures;
  std::string canonical;
};

Result<AnyMetadata> parse_any(const RoleName& role, std::string_view bytes);

// "_type", "spec_version", "version", "expires", "x-skerry-issued".
// A role listed with a threshold that its keys can meet, and its keys in `keys`.
Result<Json> encode_role(const RoleSetup& setup, const RoleName& role, Json::Object& keys);
Json::Object common_fields(Role role, std::int64_t version, WallTime expires, WallTime issued);
Result<Json::Object> make_root(const RootSetup& setup,
                               std::int64_t version,
                               WallTime expires,
                               WallTime issued);
Json encode_target(const TargetFile& target);
Json encode_meta(std::int64_t version, std::string_view bytes);
// {"signed": …, "signatures": …} as it is stored and served.
std::string encode_file(Json signed_part, Json::Array signatures);
Result<Json> signed_part_of(std::string_view bytes, std::string_view what);

// `ours` with the signatures of `theirs` that are by `accepted` key ids, in place of its own by
// them.
Result<std::string> merge_signatures(std::string_view ours,
                                     std::string_view theirs,
                                     const std::set<std::string>& accepted);

// Who signs for a role: a top-level one by the root, a delegated one by its delegator.
struct Signers {
  RoleKeys keys;
  KeyTable table;
};
Signers signers_of(const Root& root, Role role);
// None if there is no such delegation.
std::optional<Signers> signers_of(const Delegations& delegations, const RoleName& role);
bool speaks_for(const Signers& signers, const PublicKey& key);
bool speaks_for(const Root& root, Role role, const PublicKey& key);
bool signed_by(const AnyMetadata& file, std::string_view keyid, const PublicKey& key);
Result<void> check_threshold(const AnyMetadata& file, const Signers& signers, const RoleName& role);

}  // namespace skerry::security::tuf
