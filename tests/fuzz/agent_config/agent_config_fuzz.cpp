// skerryd.toml: any bytes give settings or an error, never anything else.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  auto config = skerry::agent::parse_config(text, "fuzz.toml");
  if (config) {
    const skerry::agent::Environment environment{"/opt/skerry/bin", "host", false};
    if (auto settings = skerry::agent::finalize(*config, environment); settings) {
      skerry::agent::needs_restart(*settings, *settings);
    }
  }
  return 0;
}
