// What parses can be written and read back as the same value, in every form.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/common/json.hpp"

using skerry::Json;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto value = Json::parse({reinterpret_cast<const char*>(data), size});
  if (!value) {
    return 0;
  }
  for (const std::string& text : {value->dump(), value->dump_pretty()}) {
    const auto again = Json::parse(text);
    if (!again || !(*again == *value)) {
      std::abort();
    }
  }
  const auto canonical = value->canonical();
  if (canonical && value->canonical() && *value->canonical() != *canonical) {
    std::abort();
  }
  return 0;
}
