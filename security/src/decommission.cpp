#include "skerry/security/decommission.hpp"

#include <algorithm>

namespace skerry::security {

namespace {

constexpr std::size_t kMaxOrderSignatures = 8;
constexpr std::size_t kMaxOrderField = 512;

bool is_line(const std::string& text) {
  return text.size() <= kMaxOrderField && is_utf8(text) &&
         std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

}  // namespace

std::string DecommissionOrder::statement() const {
  return "skerry-decommission/1\n" + device_id + "\n" + order_id + "\n" +
         std::to_string(issued_ms) + "\n" + reason + "\n";
}

Result<void> verify_decommission(const DecommissionOrder& order,
                                 const std::vector<Bytes>& signatures,
                                 const TrustAnchors& anchors) {
  if (order.device_id.empty() || order.order_id.empty() || !is_line(order.device_id) ||
      !is_line(order.order_id) || !is_line(order.reason)) {
    return Error{Error::Code::kInvalidArgument,
                 "a decommission order with a field that is empty, too long or not one line"};
  }
  const std::string statement = order.statement();
  const std::size_t count = std::min(signatures.size(), kMaxOrderSignatures);
  for (std::size_t i = 0; i < count; ++i) {
    for (const Certificate& anchor : anchors.certificates()) {
      if (anchor.public_key().verify(as_bytes(statement), signatures[i])) {
        return {};
      }
    }
  }
  return Error{Error::Code::kSignatureInvalid,
               "the order to decommission " + order.device_id +
                   " is signed by none of the trusted authorities"};
}

}  // namespace skerry::security
