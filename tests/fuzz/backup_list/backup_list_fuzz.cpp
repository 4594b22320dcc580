// Any bytes as a backup's list: no path that is accepted leads out of the folder it is restored to,
// and what is accepted can be written and reads back as the same.

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "backup_list.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace controller = skerry::controller;
  const auto list = controller::parse_backup_list({reinterpret_cast<const char*>(data), size});
  if (!list) {
    return 0;
  }
  for (const auto& entry : list->entries) {
    const std::filesystem::path path{entry.path};
    const auto inside = path.lexically_normal();
    if (path.is_absolute() || inside.empty() || *inside.begin() == ".." || inside == ".") {
      std::abort();
    }
  }
  const auto again = controller::parse_backup_list(controller::serialise_backup_list(*list));
  // A time is written to the second.
  if (!again || again->entries != list->entries) {
    std::abort();
  }
  return 0;
}
