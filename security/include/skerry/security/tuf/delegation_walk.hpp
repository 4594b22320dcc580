#pragma once

// Every delegated role that a verified set of metadata leads to, checked edge by edge as
// `Client::lookup` would meet it (TUF 5.6.7). For those who must judge the whole and not one path:
// the controller before it publishes, the operator's working copy before it follows.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "skerry/security/tuf/trusted_set.hpp"

namespace skerry::security::tuf {

// One delegation that was followed.
struct WalkedRole {
  RoleName name;
  // What its file says, or why the delegation cannot be used: what `TrustedSet::verify_delegated`
  // found, kFailedPrecondition if there is no file, kPermissionDenied if the role lists a path that
  // this delegation or one on the way to it does not give to it.
  Result<DelegatedTargets> file;
};

// The bytes of a role's file; none if there is none.
using RoleFiles = std::function<std::optional<std::string>(const RoleName&)>;

// After `TrustedSet::update_targets`. In order of the delegations; a role that several delegate to
// comes several times. kTooLarge beyond 1024 delegations in all or 16 levels. Hash bins (succinct
// delegations) are kInvalidArgument: they are for repositories that a plain file server serves.
Result<std::vector<WalkedRole>> walk_delegations(TrustedSet& set, const RoleFiles& files);

}  // namespace skerry::security::tuf
