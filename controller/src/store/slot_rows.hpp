#pragma once

// Rows of desired state and reports, which rollouts, the control channel and the outbox all touch.
// Every function works inside its caller's transaction and throws what SOCI throws.

#include <optional>
#include <string>

#include <soci/soci.h>

#include "skerry/controller/records.hpp"

namespace skerry::controller {

std::optional<DesiredSlotRecord> read_desired(soci::session& sql,
                                              const std::string& device_id,
                                              const std::string& slot);

// Sets the slot under a generation above its own, what the device reported and `at_least`; returns
// it.
std::int64_t write_desired(soci::session& sql,
                           const DesiredSlotRecord& slot,
                           std::int64_t at_least);

// False: an older report than the stored one; nothing was changed.
bool write_report(soci::session& sql, const SlotReportRecord& report);

}  // namespace skerry::controller
