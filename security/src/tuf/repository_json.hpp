#pragma once

// Writing TUF metadata: the JSON of each role and its signatures. Private to the repository tools.

#include <optional>
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

Result<AnyMetadata> parse_any(Role role, std::string_view bytes);

// "_type", "spec_version", "version", "expires", "x-skerry-issued".
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

// The signatures of both files, which have the same signed part; of one key, the one in `theirs`.
Result<std::string> merge_signatures(std::string_view ours, std::string_view theirs);

bool speaks_for(const Root& root, Role role, const PublicKey& key);
bool signed_by(const AnyMetadata& file, std::string_view keyid, const PublicKey& key);
Result<void> check_threshold(const AnyMetadata& file, const Root& root, Role role);

}  // namespace skerry::security::tuf
