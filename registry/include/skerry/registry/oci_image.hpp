#pragma once

// The JSON documents of the OCI image specification 1.1 as values: descriptor, image index, image
// manifest, and the marker file of an image layout. Used by `OciLayout` (oci_layout.hpp), importers
// and bundles. Parsing checks form and limits; who may be believed is not its business. Unknown
// members are ignored, as the specification asks of readers.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

inline constexpr std::string_view kOciIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kDockerManifestType =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerListType =
    "application/vnd.docker.distribution.manifest.list.v2+json";
// The annotation by which a layout names its images: "1.2.0", "acme/log-triage:1.2.0".
inline constexpr std::string_view kOciRefName = "org.opencontainers.image.ref.name";

struct OciLimits {
  static constexpr std::size_t kJsonBytes = 4U << 20U;
  static constexpr std::size_t kMarkerBytes = 4096;
  // Of one index or manifest.
  static constexpr std::size_t kDescriptors = 4096;
  static constexpr std::size_t kAnnotations = 256;
  static constexpr std::size_t kTextBytes = 4096;
  // Embedded content (`data`), decoded.
  static constexpr std::size_t kDataBytes = 1U << 20U;
  // Indexes below index.json, and manifests found through all of them.
  static constexpr std::size_t kDepth = 3;
  static constexpr std::size_t kImages = 4096;
};

using OciAnnotations = std::map<std::string, std::string, std::less<>>;

struct OciPlatform {
  std::string os;
  std::string architecture;
  std::string variant;

  friend bool operator==(const OciPlatform&, const OciPlatform&) = default;
};

struct OciDescriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  std::string artifact_type;
  OciAnnotations annotations;
  std::optional<OciPlatform> platform;
  // The content itself, where it is embedded; checked against digest and size.
  std::optional<std::string> data;

  [[nodiscard]] bool is_index() const {
    return media_type == kOciIndexType || media_type == kDockerListType;
  }
  // The annotation `key`, or "".
  [[nodiscard]] std::string annotation(std::string_view key) const;
  [[nodiscard]] Json to_json() const;
  friend bool operator==(const OciDescriptor&, const OciDescriptor&) = default;
};

struct OciIndex {
  std::string artifact_type;
  std::vector<OciDescriptor> manifests;
  OciAnnotations annotations;

  // Sorted keys, no white space: the same value always gives the same bytes.
  [[nodiscard]] std::string serialise() const;
  friend bool operator==(const OciIndex&, const OciIndex&) = default;
};

struct OciManifest {
  // Empty where the document names none (the descriptor's counts then).
  std::string media_type;
  std::string artifact_type;
  OciDescriptor config;
  std::vector<OciDescriptor> layers;
  std::optional<OciDescriptor> subject;
  OciAnnotations annotations;

  [[nodiscard]] std::string serialise() const;
  friend bool operator==(const OciManifest&, const OciManifest&) = default;
};

// kParse with the JSON path of what is wrong, kTooLarge at a limit, kUnimplemented for digests of
// another algorithm than SHA-256.
Result<OciIndex> parse_oci_index(std::string_view json);
Result<OciManifest> parse_oci_manifest(std::string_view json);
// The file `oci-layout`: kParse unless it says imageLayoutVersion 1.x.
Result<void> check_oci_marker(std::string_view json);
std::string oci_marker();

}  // namespace skerry::registry
