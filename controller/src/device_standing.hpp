#pragma once

// Whether a device belongs to the fleet: revoked, in quarantine, ordered to end, ended, or simply
// active. Pure functions on its record, and the signed order as a message.

#include <string>
#include <string_view>

#include "skerry/controller/authorities.hpp"
#include "skerry/controller/records.hpp"
#include "skerry/fleet/v1/device.pb.h"

namespace skerry::controller {

struct Standing {
  // "active", "revoked", "quarantined", "decommission ordered", "decommissioned".
  std::string_view word = "active";
  std::string reason;
  std::int64_t since_ms = 0;
};

Standing standing_of(const DeviceLifeRecord& life);

// An operator's acts; kFailedPrecondition says why it makes no sense in the present standing.
Result<void> revoke(DeviceLifeRecord& life,
                    const std::string& by,
                    const std::string& reason,
                    std::int64_t now_ms);
// Also forgets the suspicion of a copy and takes the next nonce as it comes.
Result<void> reinstate(DeviceLifeRecord& life);
Result<void> order_decommission(DeviceLifeRecord& life,
                                const std::string& by,
                                const std::string& reason,
                                const std::string& order_id,
                                std::int64_t now_ms);

// Signed by the issuing authority and by those that are still accepted.
Result<fleet::v1::ControllerMessage> decommission_message(const Authorities& authorities,
                                                          const DeviceLifeRecord& life);

}  // namespace skerry::controller
