// Golden and evaluation sets; after the first zero byte comes the sidecar.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/runtime/evaluate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all{reinterpret_cast<const char*>(data), size};
  const std::size_t zero = all.find('\0');
  const std::string_view text = all.substr(0, zero);
  const std::string_view sidecar =
      zero == std::string_view::npos ? std::string_view{} : all.substr(zero + 1);
  const auto set = skerry::runtime::parse_golden(text, sidecar);
  if (set && set->cases.size() > skerry::runtime::kMaxGoldenCases) {
    __builtin_trap();
  }
  return 0;
}
