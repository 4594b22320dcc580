#pragma once

// A bundle: what travels on a USB stick. It is an OCI image layout with the signed metadata beside
// it (docs/formats/bundle.md). Its directive says what which devices run; it is a target of the
// `offline` repository, so nothing in it counts before that repository vouched for its hash. The
// command line writes bundles, the agent imports them.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"
#include "skerry/registry/oci_layout.hpp"

namespace skerry::registry {

// Inside a bundle's folder.
inline constexpr std::string_view kBundleDirective = "skerry-bundle/bundle.json";
inline constexpr std::string_view kBundleImageMetadata = "skerry-bundle/image";
inline constexpr std::string_view kBundleOfflineMetadata = "skerry-bundle/offline";
inline constexpr std::string_view kBundleReports = "reports";

struct BundleLimits {
  static constexpr std::size_t kBytes = 2U << 20U;
  static constexpr std::size_t kSlots = 64;
  static constexpr std::size_t kDevices = 4096;
  static constexpr std::size_t kBlobs = 16384;
  static constexpr std::size_t kTextBytes = 256;
  // Of all blobs together.
  static constexpr std::uint64_t kTotalBytes = 1ULL << 46U;
};

// What one slot is to run.
struct BundleSlot {
  std::string target;  // "models/<team>/<name>/<version>"
  Digest manifest;
  std::uint64_t manifest_size = 0;

  friend bool operator==(const BundleSlot&, const BundleSlot&) = default;
};

struct BundleDirective {
  std::string id;
  // Grows with every bundle of the offline repository: a device takes no older one.
  std::uint64_t sequence = 0;
  // Names of devices, or patterns with * and ?; none: no device.
  std::vector<std::string> devices;
  std::optional<WallTime> not_after;
  std::map<std::string, BundleSlot> slots;
  // Every blob of the layout with its size: nothing is missing, nothing is there besides.
  std::map<Digest, std::uint64_t> blobs;

  // Strict. kParse with the JSON path, kTooLarge.
  static Result<BundleDirective> parse(std::string_view json);
  // Canonical bytes: what the offline repository signs the hash of.
  [[nodiscard]] std::string serialise() const;
  // "bundles/<id>"
  [[nodiscard]] std::string target_path() const { return "bundles/" + id; }
  [[nodiscard]] std::uint64_t total_bytes() const;
  // True if one of the device's names fits one of the patterns.
  [[nodiscard]] bool is_for(const std::vector<std::string>& names) const;

  friend bool operator==(const BundleDirective&, const BundleDirective&) = default;
};

// Compares the files of a layout with the directive: kNotFound, kSizeMismatch or kMetadataMismatch
// names what is missing, of another size, or not listed. Reads no content: that is verified when it
// is copied. Blocks.
Result<void> check_bundle_files(FileSystem& fs,
                                const OciLayout& layout,
                                const BundleDirective& directive);

// Adds a packed model's files and what belongs to them: every variant, the chunk indexes, the
// embedded config. `blobs` holds them as sha256/<hex>. The manifest itself comes last and is given
// back for `OciLayoutWriter::list`.
Result<OciDescriptor> add_model(OciLayoutWriter& writer,
                                const Manifest& manifest,
                                std::string_view manifest_bytes,
                                const std::filesystem::path& blobs,
                                std::map<Digest, std::uint64_t>& added);

}  // namespace skerry::registry
