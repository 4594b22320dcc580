#pragma once

// Who asks. Made at the edge from facts (SO_PEERCRED, a verified token, a verified certificate) and
// carried through every internal request; the RBAC engine decides on it and the audit log records
// it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/id.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

struct Principal {
  enum class Kind {
    kAnonymous,  // nobody proved anything: matches no subject
    kUid,        // a local process, by SO_PEERCRED
    kToken,      // an API bearer token
    kSpiffe,     // a client certificate
    kSystem      // a part of Skerry itself ("sync", "scrub")
  };

  Kind kind = Kind::kAnonymous;
  // User name, token name, spiffe URI or component; may be empty for kUid.
  std::string name;
  std::uint32_t uid = 0;
  // Primary and supplementary groups; only for kUid.
  std::vector<std::uint32_t> gids;
  // Names of those groups where known; only for kUid.
  std::vector<std::string> groups;
  TenantId tenant;

  static Principal local(std::uint32_t uid, std::vector<std::uint32_t> gids, std::string name = {});
  static Principal token(std::string name, TenantId tenant = {});
  static Principal spiffe(std::string uri, TenantId tenant = {});
  static Principal system(std::string component);

  // "uid:1000", "token:ci", "spiffe://…", "system:sync", "anonymous": stable, for logs, fair shares
  // and audit.
  [[nodiscard]] std::string to_string() const;
  // The actor object of an audit record.
  [[nodiscard]] Json to_json() const;

  friend bool operator==(const Principal&, const Principal&) = default;
};

std::string_view to_string(Principal::Kind kind) noexcept;

// "uid:1000", "token:ci", "spiffe://…", "system:sync" and "anonymous", as people ask about them;
// kInvalidArgument for anything else. A user comes without groups.
Result<Principal> parse_principal(std::string_view text);

}  // namespace skerry::security
