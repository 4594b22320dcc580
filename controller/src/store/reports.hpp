#pragma once

// Writing a slot report, which both the control channel and the outbox bring.

#include <soci/soci.h>

#include "skerry/controller/records.hpp"

namespace skerry::controller {

// Inside the caller's transaction. False: an older report than the stored one; nothing was changed.
bool write_report(soci::session& sql, const SlotReportRecord& report);

}  // namespace skerry::controller
