#pragma once

// What must hold before a variant goes live, asked inside the transaction that makes it so.

#include <cstdint>

#include "skerry/common/sqlite.hpp"
#include "skerry/registry/slot.hpp"

namespace skerry::registry {

// The generation as it would be written: its manifest was verified, the variant exists and is
// complete, it is not known bad, its release counter does not fall and its generation grows.
// kNotFound, kFailedPrecondition, kQuarantined, kRollback.
Result<SlotGeneration> check_activation(sqlite::Database& database,
                                        const ActivationRequest& request,
                                        std::int64_t now);

}  // namespace skerry::registry
