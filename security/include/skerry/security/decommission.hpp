#pragma once

// The order that ends a gateway: it deletes its keys and data. It cannot be undone, so the channel
// it comes over is not enough: it carries a signature by the key of a certificate authority, over a
// text that names the device (docs/formats/certificates.md). Made by the controller, checked by the
// agent.

#include <cstdint>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/security/trust_anchors.hpp"

namespace skerry::security {

struct DecommissionOrder {
  std::string device_id;
  // Names the order in records; random.
  std::string order_id;
  std::int64_t issued_ms = 0;
  std::string reason;

  // What is signed: a heading and each field on a line of its own; no field can hold a line break.
  [[nodiscard]] std::string statement() const;
};

// kSignatureInvalid if none of the first eight signatures is by one of `anchors`, kInvalidArgument
// for a field that is empty, too long or has control characters.
Result<void> verify_decommission(const DecommissionOrder& order,
                                 const std::vector<Bytes>& signatures,
                                 const TrustAnchors& anchors);

}  // namespace skerry::security
