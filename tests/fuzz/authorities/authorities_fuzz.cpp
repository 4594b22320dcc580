// Any bytes as authorities.json: what is accepted can be written, reads back as the same, and has
// exactly one authority that issues.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "authority_list.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace controller = skerry::controller;
  const auto entries = controller::parse_authorities({reinterpret_cast<const char*>(data), size});
  if (!entries) {
    return 0;
  }
  const auto again = controller::parse_authorities(controller::serialise_authorities(*entries));
  if (!again || again->size() != entries->size() ||
      entries->back().state != controller::AuthorityState::kIssuing) {
    std::abort();
  }
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const auto& one = (*entries)[i];
    const auto& two = (*again)[i];
    if (one.generation != two.generation || one.state != two.state || one.key_uri != two.key_uri ||
        one.certificate.pem() != two.certificate.pem() ||
        one.cross.has_value() != two.cross.has_value() ||
        (one.state == controller::AuthorityState::kIssuing) != (i + 1 == entries->size())) {
      std::abort();
    }
  }
  return 0;
}
