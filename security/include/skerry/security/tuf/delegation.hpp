#pragma once

// Which delegated roles may speak for a target path (TUF 4.5). Pure functions over parsed metadata;
// `Client::lookup` walks the graph with them.

#include <string_view>
#include <vector>

#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

// TUF 4.5 PATHPATTERN: '*' and '?' as in a shell, and [abc], [a-z], [!x]; none of them matches a
// '/', so that "models/acme/*/*" covers exactly four components. '?' and a set stand for one code
// point. Linear in the product of the lengths, whatever the pattern.
bool matches_path_pattern(std::string_view pattern, std::string_view path);

// Whether the delegator trusts the role with `path`: by pattern or by the SHA-256 of the path.
bool covers(const DelegatedRole& role, std::string_view path);

// The first path that `targets` lists although the delegator trusts `role` with none such; empty if
// there is none. Clients never find it; publishers refuse it.
std::string first_stray(const DelegatedRole& role, const Targets& targets);

// TUF 5.6.7.2: the delegations that cover `path`, in order of appearance, up to the first one that
// is terminating. Of succinct roles: the one bin of the path, terminating (TAP 15).
std::vector<DelegatedRole> delegations_for(const Delegations& delegations, std::string_view path);

}  // namespace skerry::security::tuf
