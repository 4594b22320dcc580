// Any bytes as a tar archive: reading its index ends, every entry lies inside it under a name that
// leads nowhere else, and as a folder it gives each file its own bytes.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "skerry/registry/tar_folder.hpp"
#include "skerry/registry/tar_index.hpp"

#include "memory_file.hpp"

namespace {

using skerry::registry::TarEntry;

bool leads_inside(const std::string& path) {
  const std::filesystem::path plain{path};
  return plain.is_relative() && !path.empty() && plain.lexically_normal() == plain &&
         *plain.begin() != ".." && *plain.begin() != ".";
}

// The archive as a folder: what is listed can be read, and is where the index says.
void walk(skerry::FileSystem& folder, const std::string& at, std::set<std::string>& files) {
  const auto names = folder.list(at);
  if (!names) {
    std::abort();
  }
  for (const std::string& name : *names) {
    const std::string path = at.empty() ? name : at + "/" + name;
    const auto status = folder.status(path);
    if (!status) {
      std::abort();
    }
    if (status->is_directory) {
      walk(folder, path, files);
      continue;
    }
    const auto file = folder.open(path, skerry::OpenMode::kRead, 0);
    std::uint8_t first = 0;
    const auto got = file ? (*file)->read_at(0, {&first, 1}) : file.error();
    if (!got || (*got == 1) != (status->size > 0) || !files.insert(path).second) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes{reinterpret_cast<const char*>(data), size};
  auto file = std::make_shared<skerry::test::MemoryFile>(bytes);
  if (const auto folder = skerry::registry::TarFolder::open(file, "fuzzed"); folder) {
    std::set<std::string> files;
    walk(**folder, "", files);
  }
  const auto entries = skerry::registry::read_tar_index(*file);
  if (!entries) {
    return 0;
  }
  std::set<std::string> names;
  for (const TarEntry& entry : *entries) {
    if (entry.offset > size || entry.size > size - entry.offset || !leads_inside(entry.path) ||
        !names.insert(entry.path).second) {
      std::abort();
    }
  }
  return 0;
}
