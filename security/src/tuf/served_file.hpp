#pragma once

// How a metadata file is asked for. Private to the client.

#include <string>

#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

// What is read at most: TUF 5.4 to 5.6 give the length where it was signed; a limit holds anyway.
inline std::size_t limit_of(Role role, const MetaFile& meta) {
  const std::size_t most = MetadataLimits::bytes(role);
  return meta.length && *meta.length < most ? static_cast<std::size_t>(*meta.length) : most;
}

// TUF 3.6: with consistent snapshots, files are asked for by version.
inline std::string served_name(const Root& root, const RoleName& role, std::int64_t version) {
  const std::string plain = encode_role_name(role) + ".json";
  return root.consistent_snapshot ? std::to_string(version) + "." + plain : plain;
}

}  // namespace skerry::security::tuf
