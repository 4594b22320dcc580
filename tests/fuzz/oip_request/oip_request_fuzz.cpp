// Bodies of POST /v2/models/…/infer with JSON and with bytes after it, and the paths. The first
// byte says how much of the rest is JSON: 0 all, otherwise so many sixteenths.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/agent/oip_rest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace oip = skerry::agent::oip;
  if (size == 0) {
    return 0;
  }
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  const std::size_t part = data[0] % 16U;
  const std::string length = part == 0 ? std::string{} : std::to_string(text.size() * part / 16);
  if (auto request = oip::parse_infer(text, length, 1U << 20U); request) {
    if (auto answer = oip::infer_body(*request, "m", "1", request->inputs); answer) {
      answer->body.clear();
    }
  }
  if (auto path = oip::parse_model_path(text); path) {
    path->version = path->reference();
  }
  if (auto path = oip::parse_repository_path(text); path) {
    path->version = path->reference();
  }
  return 0;
}
