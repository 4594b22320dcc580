// The bytes that a model's tokens give, in pieces, past two stop strings: the text that comes out
// is UTF-8 at every step, and never holds a stop string.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/common/bytes.hpp"
#include "skerry/runtime/text_filter.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  skerry::runtime::TextFilter filter{{"ab",
                                      "\xe2\x82\xac"
                                      "a"}};
  std::string all;
  for (std::size_t at = 0; at < size;) {
    const std::size_t piece = std::min<std::size_t>(1 + data[at] % 5U, size - at);
    const std::string text = filter.push({reinterpret_cast<const char*>(data) + at, piece});
    if (!skerry::is_utf8(text)) {
      __builtin_trap();
    }
    all += text;
    at += piece;
  }
  all += filter.finish();
  if (!skerry::is_utf8(all) || all.find("ab") != std::string::npos) {
    __builtin_trap();
  }
  return 0;
}
