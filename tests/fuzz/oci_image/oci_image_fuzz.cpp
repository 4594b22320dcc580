// Whatever is accepted as an image index or manifest can be written again and reads back as the
// same. The first byte chooses the document.

#include <cstdlib>
#include <string_view>

#include "skerry/registry/oci_image.hpp"

namespace {

using skerry::Result;

template <class T>
void same_again(const Result<T>& value, Result<T> (*parse)(std::string_view)) {
  if (!value) {
    return;
  }
  const auto again = parse(value->serialise());
  if (!again) {
    // What is written can be longer than what was read (escapes), nothing else.
    if (again.error().code() != skerry::Error::Code::kTooLarge) {
      std::abort();
    }
    return;
  }
  if (*again != *value) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace registry = skerry::registry;
  if (size == 0) {
    return 0;
  }
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0]) {
    case 'i':
      same_again(registry::parse_oci_index(text), registry::parse_oci_index);
      break;
    case 'm':
      same_again(registry::parse_oci_manifest(text), registry::parse_oci_manifest);
      break;
    default:
      static_cast<void>(registry::check_oci_marker(text).has_value());
      break;
  }
  return 0;
}
