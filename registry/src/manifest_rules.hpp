#pragma once

// The rules that every manifest obeys, whether it was read or is about to be written, and the names
// of its parts on the wire.

#include <optional>
#include <string_view>

#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

inline constexpr std::int64_t kMaxJsonInteger = (1LL << 53) - 1;
inline constexpr std::string_view kImageManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr std::string_view kPathAnnotation = "org.cncf.model.filepath";
inline constexpr std::string_view kChunkSizeAnnotation = "dev.skerry.chunk-size";
inline constexpr std::string_view kChunksAnnotation = "dev.skerry.chunks";

std::optional<FileRole> parse_file_role(std::string_view text);
std::string_view media_type_of(FileRole role);

// kManifestInvalid with the path of the value that breaks a rule.
Result<void> check_manifest(const Manifest& manifest);

}  // namespace skerry::registry
