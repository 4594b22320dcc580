#pragma once

// Who is on the other end of a local connection, as proven when it was accepted: SO_PEERCRED and
// SO_PEERGROUPS on Unix sockets, a bearer token on TCP. Every front end makes one and hands it to
// the service layer with each call.

#include <cstdint>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/security/principal.hpp"

namespace skerry::agent {

struct Caller {
  security::Principal principal;
  // "peercred", "token", "internal": how the principal was proven, for the audit log.
  std::string authn_method;
};

// Reads the peer's uid, gid and supplementary groups from a connected Unix socket, with names where
// the system knows them. Call it right after accept: the kernel recorded the facts at connect.
Result<Caller> peer_credentials(int fd);

// The group's number, or kNotFound.
Result<std::uint32_t> find_group(const std::string& name);

}  // namespace skerry::agent
