// Whatever is accepted as a manifest can be written again, and reads back as the same.

#include <cstdlib>
#include <string_view>

#include "skerry/registry/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using skerry::registry::Manifest;
  const auto manifest = Manifest::parse({reinterpret_cast<const char*>(data), size});
  if (!manifest) {
    return 0;
  }
  const auto bytes = manifest->serialise();
  if (!bytes) {
    // Canonical bytes can be longer than what was read (the embedded config), nothing else.
    if (bytes.error().message().find("1048576") == std::string::npos) {
      std::abort();
    }
    return 0;
  }
  const auto again = Manifest::parse(*bytes);
  if (!again || *again != *manifest) {
    std::abort();
  }
  for (const auto& variant : manifest->variants) {
    if (manifest->files_for(variant).empty()) {
      std::abort();
    }
  }
  return 0;
}
