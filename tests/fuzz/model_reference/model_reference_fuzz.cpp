// A reference that is accepted is written as it was read; so is a target path.

#include <cstdlib>
#include <string_view>

#include "skerry/registry/manifest.hpp"
#include "skerry/registry/model_reference.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace skerry::registry;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto reference = ModelReference::parse(text);
  if (reference && reference->to_string() != text) {
    std::abort();
  }
  if (reference && reference->names_slot() != reference->model.empty()) {
    std::abort();
  }
  const auto version = SemanticVersion::parse(text);
  if (version && version->to_string() != text) {
    std::abort();
  }
  if (const auto loose = SemanticVersion::parse_loose(text);
      loose && !SemanticVersion::parse(loose->to_string())) {
    std::abort();
  }
  if (const auto target = parse_target_path(text);
      target && "models/" + target->model.to_string() + "/" + target->version.to_string() != text) {
    std::abort();
  }
  return 0;
}
