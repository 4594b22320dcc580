#pragma once

// Two copies of one disk, noticed: every hello shows the nonce that the last one was answered with,
// and is answered with a new one. Whoever shows an older one has forked off (ADR 0078). The device
// says when it has stored the new nonce; until then the one before is good too, so that no crash
// and no lost message on either side looks like a copy. Pure functions on the device's record.

#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/controller/records.hpp"

namespace skerry::controller {

enum class NonceVerdict {
  kUnused,    // an agent that knows no nonces
  kFirst,     // nothing to compare with: first contact, or told to take what comes
  kExpected,  // the newest
  kRepeated,  // the one before: the answer did not reach the device's disk
  kForked,    // neither: another copy took part since
  kMissing    // it showed nonces before, now it shows none
};

// `shown` and `fresh` in hexadecimal; `shown` is empty if the device holds none. `knows_nonces` is
// what its hello says of itself. Updates the record so that `fresh` is what comes next.
NonceVerdict take_nonce(DeviceLifeRecord& life,
                        bool knows_nonces,
                        std::string_view shown,
                        std::string fresh);

// The device has the nonce on its disk. False if it is not the newest (an answer that was
// overtaken).
bool confirm_nonce(DeviceLifeRecord& life, std::string_view stored);

// Empty for the verdicts that are in order.
std::string finding_of(NonceVerdict verdict);

}  // namespace skerry::controller
