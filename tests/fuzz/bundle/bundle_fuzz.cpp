// Whatever is accepted as a bundle's directive can be written again and reads back as the same.

#include <cstdlib>
#include <string_view>

#include "skerry/registry/bundle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using skerry::registry::BundleDirective;
  const auto directive = BundleDirective::parse({reinterpret_cast<const char*>(data), size});
  if (!directive) {
    return 0;
  }
  const auto again = BundleDirective::parse(directive->serialise());
  if (!again || *again != *directive) {
    std::abort();
  }
  if (directive->is_for({})) {
    std::abort();
  }
  static_cast<void>(directive->is_for({"gw-17", "a*b?c"}));
  return 0;
}
