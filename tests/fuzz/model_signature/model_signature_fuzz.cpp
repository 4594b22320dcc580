// A signature bundle and the statement in it, both from outside: read as they come, as a bundle
// whose payload is the input, and as a statement of either form. What is read must be written back
// to the same thing, and no name that is read may leave the model.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/keys.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace oms = skerry::security::model_signing;

namespace {

void read_statement(std::string_view text) {
  auto statement = oms::parse_statement(text, oms::Legacy::kAccept);
  if (!statement) {
    return;
  }
  bool single = false;
  for (const oms::Resource& resource : statement->resources) {
    if (resource.path == ".") {
      single = true;
    } else if (!oms::check_resource_path(resource.path)) {
      std::abort();
    }
  }
  const auto written = oms::write_statement(*statement);
  if (single) {
    return;  // the older form is only read
  }
  const auto again =
      written ? oms::parse_statement(*written) : skerry::Result<oms::Statement>{written.error()};
  if (!again || again->root != statement->root || again->resources != statement->resources) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_statement(text);
  if (const auto bundle = oms::parse_bundle(text)) {
    read_statement(bundle->payload);
    if (bundle->material != oms::Bundle::Material::kSigstore) {
      const auto again = oms::parse_bundle(oms::write_bundle(*bundle));
      if (!again || again->payload != bundle->payload || again->signature != bundle->signature ||
          again->certificates != bundle->certificates) {
        std::abort();
      }
    }
  }
  static_cast<void>(oms::VerifyKey::from_bytes(text).has_value());
  static_cast<void>(oms::certificates_from_pem(text).has_value());
  return 0;
}
