#pragma once

// What lies where in a tar archive, without unpacking it: layers of OCI artifacts are archives, a
// model in an uncompressed one is a range of its blob, and a bundle may travel as one file
// (tar_folder.hpp). Strict, since archives have led programs out of their folders more often than
// anything else. Fuzz target `tar`.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

struct TarEntry {
  std::string path;  // relative, without "." and ".."
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  bool is_folder = false;

  friend bool operator==(const TarEntry&, const TarEntry&) = default;
};

struct TarLimits {
  static constexpr std::size_t kPathBytes = 4096;
  static constexpr std::uint64_t kPaxBytes = 64U << 10U;
};

struct TarOptions {
  std::size_t entries = 10'000;
  // Give out folders as well as files.
  bool folders = false;
  // Refuse an archive without the empty block that ends it: it may have been cut.
  bool need_end = false;
};

// The entries of an archive (ustar, plain ones of GNU tar, pax with `path` and `size`), in its
// order. kParse or kInvalidArgument with the entry: links, devices, other kinds, a wrong checksum,
// a path that leaves the archive, a name that occurs twice; kSizeMismatch for an archive that is
// cut; kTooLarge beyond the limits. Reads headers only.
Result<std::vector<TarEntry>> read_tar_index(File& archive, const TarOptions& options = {});

// Bytes [offset, offset + size) of another file, read-only, without a descriptor.
std::unique_ptr<File> range_of_file(std::shared_ptr<File> whole,
                                    std::uint64_t offset,
                                    std::uint64_t size);

}  // namespace skerry::registry
