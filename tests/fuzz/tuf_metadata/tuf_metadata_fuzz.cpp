// Every TUF role is parsed from the same bytes; what parses must stay the same through its exact
// bytes, and thresholds can be checked on it without trust.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/security/tuf/repository.hpp"
#include "skerry/security/tuf/trusted_set.hpp"

namespace tuf = skerry::security::tuf;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  if (const auto root = tuf::parse_root(bytes)) {
    const auto again = tuf::parse_root(root->bytes);
    if (!again || again->canonical != root->canonical) {
      std::abort();
    }
    auto set = tuf::TrustedSet::create(bytes, skerry::security::TrustedTime{});
    if (set) {
      static_cast<void>(set->update_root(bytes).has_value());
    }
  }
  static_cast<void>(tuf::parse_timestamp(bytes).has_value());
  static_cast<void>(tuf::parse_snapshot(bytes).has_value());
  if (const auto targets = tuf::parse_targets(bytes)) {
    for (const auto& [path, target] : targets->content.targets) {
      if (!tuf::check_target_path(path)) {
        std::abort();
      }
      static_cast<void>(target.check("content").has_value());
      static_cast<void>(target.not_after());
    }
  }
  static_cast<void>(tuf::describe_metadata(bytes).has_value());
  return 0;
}
