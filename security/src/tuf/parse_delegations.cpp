#include <algorithm>
#include <set>
#include <utility>

#include "parse_fields.hpp"

namespace skerry::security::tuf {

namespace {

constexpr std::uint32_t kMaxBitLength = 32;

bool is_hash_prefix(std::string_view text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// TUF 4.5: which paths the role is trusted with: by pattern, or by the hash of the path.
Result<void> parse_covered_paths(const Json& entry, const std::string& where, DelegatedRole& role) {
  const bool by_pattern = entry.find("paths") != nullptr;
  if (by_pattern == (entry.find("path_hash_prefixes") != nullptr)) {
    return fields::bad(where, "expected either paths or path_hash_prefixes");
  }
  auto texts = fields::strings(entry,
                               where,
                               by_pattern ? "paths" : "path_hash_prefixes",
                               MetadataLimits::kPathPatterns,
                               MetadataLimits::kPathLength);
  if (!texts) {
    return std::move(texts).error();
  }
  if (!by_pattern && !std::all_of(texts->begin(), texts->end(), is_hash_prefix)) {
    return fields::bad(where + ".path_hash_prefixes",
                       "expected the first digits of a SHA-256 in lower-case hexadecimal");
  }
  (by_pattern ? role.paths : role.path_hash_prefixes) = std::move(*texts);
  return {};
}

Result<DelegatedRole> parse_delegated_role(const Json& entry, const std::string& where) {
  DelegatedRole role;
  auto name = entry.get_string("name");
  if (!name || name->empty() || name->size() > MetadataLimits::kRoleName) {
    return fields::bad(where + ".name", "expected a role name of 1 to 72 bytes");
  }
  if (parse_role(*name)) {
    return fields::bad(where + ".name", "'" + *name + "' is a top-level role");
  }
  role.name = std::move(*name);
  auto role_keys = fields::parse_role_keys(entry, where);
  if (!role_keys) {
    return std::move(role_keys).error();
  }
  role.keys = std::move(*role_keys);
  auto terminating = entry.get_bool("terminating");
  if (!terminating) {
    return fields::bad(where + ".terminating", "expected true or false");
  }
  role.terminating = *terminating;
  if (auto paths = parse_covered_paths(entry, where, role); !paths) {
    return paths.error();
  }
  return role;
}

Result<SuccinctRoles> parse_succinct_roles(const Json& value, const std::string& where) {
  SuccinctRoles roles;
  auto role_keys = fields::parse_role_keys(value, where);
  if (!role_keys) {
    return std::move(role_keys).error();
  }
  roles.keys = std::move(*role_keys);
  auto bits = fields::positive(value, where, "bit_length");
  if (!bits || *bits > kMaxBitLength) {
    return fields::bad(where + ".bit_length", "expected a whole number from 1 to 32");
  }
  roles.bit_length = static_cast<std::uint32_t>(*bits);
  auto prefix = value.get_string("name_prefix");
  // The bin's number and a dash follow.
  if (!prefix || prefix->empty() || prefix->size() + 9 > MetadataLimits::kRoleName) {
    return fields::bad(where + ".name_prefix", "expected a text of 1 to 63 bytes");
  }
  roles.name_prefix = std::move(*prefix);
  return roles;
}

}  // namespace

Result<Delegations> parse_delegations(const Json& value) {
  const std::string path = "signed.delegations";
  if (!value.is_object()) {
    return fields::bad(path, "expected an object");
  }
  Delegations out;
  auto keys = fields::parse_keys(value, path);
  if (!keys) {
    return std::move(keys).error();
  }
  out.keys = std::move(*keys);
  if (const Json* succinct = value.find("succinct_roles")) {
    if (value.find("roles") != nullptr) {
      return fields::bad(path, "expected either roles or succinct_roles");
    }
    auto roles = parse_succinct_roles(*succinct, path + ".succinct_roles");
    if (!roles) {
      return std::move(roles).error();
    }
    out.succinct = std::move(*roles);
    return out;
  }
  if (value.find("roles") == nullptr) {
    return out;
  }
  auto roles = fields::member_array(value, path, "roles", MetadataLimits::kDelegations);
  if (!roles) {
    return std::move(roles).error();
  }
  std::set<std::string> names;
  for (const Json& entry : **roles) {
    const std::string where = path + ".roles[" + std::to_string(out.roles.size()) + "]";
    auto role = parse_delegated_role(entry, where);
    if (!role) {
      return std::move(role).error();
    }
    if (!names.insert(role->name).second) {
      return fields::bad(where + ".name", "'" + role->name + "' is used twice");
    }
    out.roles.push_back(std::move(*role));
  }
  return out;
}

}  // namespace skerry::security::tuf
