// Any bytes as a tar archive: reading its index ends, and every file lies inside it under a name
// that leads nowhere else.

#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>

#include "skerry/registry/source_folder.hpp"
#include "skerry/registry/tar_index.hpp"

#include "memory_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  skerry::test::MemoryFile file{std::string{reinterpret_cast<const char*>(data), size}};
  const auto entries = skerry::registry::read_tar_index(file);
  if (!entries) {
    return 0;
  }
  std::set<std::string> names;
  for (const skerry::registry::TarEntry& entry : *entries) {
    if (entry.offset > size || entry.size > size - entry.offset ||
        !skerry::registry::check_source_path(entry.path, "tar") ||
        !names.insert(entry.path).second) {
      std::abort();
    }
  }
  return 0;
}
