#pragma once

// A report that came back on a stick, before anything of it counts: whose key signed it. Whoever
// carried the stick could change or make up every byte of it.

#include <string_view>

#include "skerry/controller/authorities.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::controller {

struct StickReportLimits {
  static constexpr std::size_t kBytes = 4U << 20U;
  static constexpr std::size_t kChainBytes = 64U << 10U;
};

// The report of the device whose certificate is with it and whose key signed it. The certificate
// may have ended, or be of a retired authority: gateways that send sticks are away for long.
// kTooLarge, kParse, kUnauthenticated and kCertificateInvalid as `Authorities::verify`,
// kPermissionDenied for a certificate that is no device's of `trust_domain`, kSignatureInvalid.
Result<fleet::v1::StickReport> open_stick_report(std::string_view bytes,
                                                 const Authorities& authorities,
                                                 std::string_view trust_domain,
                                                 WallTime now);

}  // namespace skerry::controller
