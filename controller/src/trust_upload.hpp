#pragma once

// What an operator publishes, judged as a device would judge it that has followed so far. Used by
// `TrustPublisher` and, for its root, by `Director`.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/controller/trust_publisher.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

#include "trust_files.hpp"

namespace skerry::controller {

using RoleRecords = std::map<std::string, MetadataRecord, std::less<>>;

// Every root, and of the other roles the newest file.
struct Upload {
  std::map<std::int64_t, std::string> roots;
  RoleRecords roles;
};

// kInvalidArgument for a name that is not published, and unless there are 1 to 64 files.
Result<Upload> sort_upload(std::vector<NamedBytes> files, std::string_view repository);

// The published files of all targets roles, overwritten by the uploaded ones. kRollback,
// kFailedPrecondition without targets.
Result<RoleRecords> merge_roles(const PublishedSet& current, const Upload& upload);

// As a device: starts from the newest root it knows, or from the first one it is given, and follows
// the uploaded ones, which are added to `stored`.
Result<security::tuf::TrustedSet> follow_roots(const PublishedSet& current,
                                               std::map<std::int64_t, std::string> roots,
                                               WallTime now,
                                               std::string_view repository,
                                               std::vector<MetadataRecord>& stored);

// What was published before; what no longer counts under a new root is dropped by the set.
void load_published(security::tuf::TrustedSet& set, const PublishedSet& current);

// The delegated roles that count. A role that somebody else let expire, or whose keys were changed
// and that is not signed anew, is their devices' matter and does not keep others from publishing.
Result<std::vector<security::tuf::DelegatedTargets>> check_delegated(security::tuf::TrustedSet& set,
                                                                     const PublishedSet& current,
                                                                     const Upload& upload);

}  // namespace skerry::controller
