#pragma once

// OCI image layouts (image-spec 1.1) in a folder: `oci-layout`, `index.json`,
// `blobs/sha256/<hex>`. The reader believes nothing: names are made of digests alone, a blob must
// be a regular file of the descriptor's size, and its bytes are hashed before they are given out.
// The writer makes the same bytes from the same input and is crash-safe: index.json comes last.
// Used by bundles, importers and export.
//
// Give the reader a `ConfinedFolder` (or an archive) as its file system where somebody else filled
// the folder, so that no link leads out of it.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/oci_image.hpp"

namespace skerry::registry {

// One manifest of a layout, verified against its descriptor.
struct OciImage {
  OciDescriptor descriptor;
  OciManifest manifest;
  // The manifest, byte for byte.
  std::string bytes;
  // What the layout calls it (kOciRefName), or "".
  std::string name;
};

class OciLayout {
 public:
  // Reads the marker and index.json. kNotFound if `folder` is no layout; kParse, kTooLarge,
  // kUnimplemented (its version or digests). `fs` must outlive the layout. Blocks, as all calls do.
  static Result<OciLayout> open(FileSystem& fs, std::filesystem::path folder);

  [[nodiscard]] const OciIndex& index() const { return index_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  // Every manifest, those of nested indexes included, each digest once, in order. kTooLarge beyond
  // the limits of `OciLimits`; what `read` gives for a manifest that is missing or wrong.
  [[nodiscard]] Result<std::vector<OciImage>> images() const;
  // By name, by digest ("sha256:…"), or, if `reference` is empty, the only one. kNotFound lists the
  // names there are; kInvalidArgument if several fit.
  [[nodiscard]] Result<OciImage> find(std::string_view reference) const;

  // A blob of at most `limit` bytes, verified. kNotFound if the layout lacks it (embedded `data`
  // stands in for it), kSizeMismatch, kDigestMismatch, kTooLarge.
  [[nodiscard]] Result<std::string> read(const OciDescriptor& descriptor,
                                         std::size_t limit = OciLimits::kJsonBytes) const;
  // A blob for reading, its size checked, its bytes not: verify what is copied from it.
  [[nodiscard]] Result<std::unique_ptr<File>> open_blob(const OciDescriptor& descriptor) const;
  // Reads the whole blob and compares its digest.
  [[nodiscard]] Result<void> verify(const OciDescriptor& descriptor,
                                    const CancelFlag& cancel) const;

  // `folder`/blobs/sha256/<hex>
  [[nodiscard]] std::filesystem::path path_of(const Digest& digest) const;

  // Serves the layout's blobs to a `Fetcher`, which verifies chunk by chunk. `fs` outlives it.
  [[nodiscard]] std::unique_ptr<BlobSource> source() const;

 private:
  OciLayout(FileSystem& fs, std::filesystem::path folder, OciIndex index)
      : fs_(&fs), folder_(std::move(folder)), index_(std::move(index)) {}

  FileSystem* fs_;
  std::filesystem::path folder_;
  OciIndex index_;
};

class OciLayoutWriter {
 public:
  // Gives `to` the bytes of `from` without copying them; false if that cannot be done here
  // (`share_file`). Empty: everything is copied.
  using ShareFile = std::function<Result<bool>(const std::filesystem::path& from,
                                               const std::filesystem::path& to)>;

  struct Counts {
    std::uint64_t blobs = 0;
    std::uint64_t bytes = 0;
    // Of `bytes`: here from an earlier attempt and hashed again; shared with their source.
    std::uint64_t kept_bytes = 0;
    std::uint64_t shared_bytes = 0;
  };

  // Makes the folder, or goes on in one that has no index.json yet. kAlreadyExists if it has one:
  // a finished layout is not changed. `fs` must outlive the writer.
  static Result<OciLayoutWriter> create(FileSystem& fs,
                                        std::filesystem::path folder,
                                        ShareFile share = {});

  // Adds a blob; durable by `finish`.
  Result<OciDescriptor> add(std::string media_type, std::string_view content);
  // The same for a file; what is in the layout then was hashed. kDigestMismatch if it is not
  // `expected`.
  Result<OciDescriptor> add_file(std::string media_type,
                                 const std::filesystem::path& source,
                                 std::optional<Digest> expected = std::nullopt);
  // Lists a manifest or index in index.json, under `name` unless that is empty.
  void list(OciDescriptor manifest, const std::string& name);

  // Syncs, then writes the marker and index.json. Call once.
  Result<void> finish(OciAnnotations annotations = {});
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  OciLayoutWriter(FileSystem& fs, std::filesystem::path folder, ShareFile share)
      : fs_(&fs), folder_(std::move(folder)), share_(std::move(share)) {}
  [[nodiscard]] std::filesystem::path blob_folder() const { return folder_ / "blobs" / "sha256"; }
  [[nodiscard]] std::filesystem::path temporary();
  // True if a blob of that digest and size is there; a wrong one is removed.
  Result<bool> have(const Digest& digest, std::uint64_t size);
  Result<void> adopt(const std::filesystem::path& temporary, const Digest& digest);

  FileSystem* fs_;
  std::filesystem::path folder_;
  ShareFile share_;
  OciIndex index_;
  Counts counts_;
  std::uint64_t temporaries_ = 0;
};

}  // namespace skerry::registry
