#pragma once

// The director's half of Uptane's split: what a device runs in a slot, as an entry of the device's
// own delegated role in the director repository, and the rule that the image repository must agree
// with it. Pure functions; the controller makes entries, the agent reads and judges them. See
// docs/formats/trust.md, "Director".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/security/tuf/metadata.hpp"

namespace skerry::security::tuf {

struct Assignment {
  std::string slot;
  // Monotonic per slot; a new one replaces whatever the slot is about to install.
  std::uint64_t generation = 0;
  // Path in the image repository; empty: nothing runs in this slot.
  std::string target;
  std::string rollout;
  // What the director takes the device for: the machine that the model must be for. Empty: any.
  std::string hardware;
  std::optional<WallTime> not_after;
  // Length and hashes of the manifest, and its release counter.
  TargetFile file;
};

// The name of the device's role, and the pattern that the director delegates to it.
std::string assignment_role(std::string_view device_id);
std::string assignment_pattern(std::string_view device_id);
// "devices/<device>/<slot>".
std::string assignment_path(std::string_view device_id, std::string_view slot);

// The entry of a targets list. Length, hashes and release counter are those of `assignment.file`.
TargetFile encode_assignment(const Assignment& assignment);

// Every entry of the device's role. kMetadataMismatch names the entry that is not an assignment of
// this device, kTooLarge beyond 256.
Result<std::vector<Assignment>> parse_assignments(std::string_view device_id,
                                                  const Targets& targets);

// Uptane 5.4.4.2, full verification: the file that the director names is the one that the image
// repository signed under the same path: length, every hash that both give (at least one), release
// counter, and hardware: `image` may name the machines it is for ("hardware" in its custom), and
// `machine` is this one. kMetadataMismatch says which differs and both values.
Result<void> check_agreement(const Assignment& director,
                             std::string_view image_path,
                             const TargetFile& image,
                             std::string_view machine);

}  // namespace skerry::security::tuf
