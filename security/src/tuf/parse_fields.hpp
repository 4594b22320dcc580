#pragma once

// Members of TUF metadata that several roles have, read with their limits and with errors that name
// the path of the bad value. Private to the parser (parse.cpp, parse_delegations.cpp).

#include <string>
#include <string_view>
#include <vector>

#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

namespace fields {

inline constexpr std::size_t kMaxKeyId = 128;

Error bad(const std::string& path, const std::string& why);
// A whole number from 1 to 2^53.
Result<std::int64_t> positive(const Json& object, const std::string& path, std::string_view key);
Result<const Json*> member_object(const Json& object,
                                  const std::string& path,
                                  std::string_view key);
// At most `most` elements.
Result<const Json::Array*> member_array(const Json& object,
                                        const std::string& path,
                                        std::string_view key,
                                        std::size_t most);
// An array of strings of 1 to `longest` bytes.
Result<std::vector<std::string>> strings(const Json& object,
                                         const std::string& path,
                                         std::string_view key,
                                         std::size_t most,
                                         std::size_t longest);
// "keys" of a root or of delegations.
Result<KeyTable> parse_keys(const Json& object, const std::string& path);
// "keyids" and "threshold" of a role.
Result<RoleKeys> parse_role_keys(const Json& role, const std::string& path);

}  // namespace fields

// "delegations" of targets metadata (parse_delegations.cpp).
Result<Delegations> parse_delegations(const Json& value);

}  // namespace skerry::security::tuf
