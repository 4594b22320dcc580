#pragma once

// TUF 5.7: fetching a target that `Client::lookup` found. Used by the conformance client.

#include <filesystem>
#include <string>

#include "skerry/common/file_system.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::conformance {

// Where a target is kept in `directory`: one file, whose name tells the path and cannot leave it.
std::filesystem::path target_file(const std::filesystem::path& directory, std::string_view path);

// Puts the target there if it is not there yet with the right content. Only verified bytes are ever
// written. kMetadataMismatch for others, kTooLarge, and what the transport gives.
Result<void> download_target(FileSystem& fs,
                             const security::tuf::TargetFile& target,
                             std::string_view path,
                             bool consistent_snapshot,
                             const std::string& base_url,
                             const std::filesystem::path& directory);

}  // namespace skerry::conformance
