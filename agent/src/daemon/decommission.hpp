#pragma once

// The end of a gateway: every key and everything else in the state directory is deleted. First
// decommission.json is written, durably: from then on nothing but deletion happens here, now or at
// the next start, until it is complete; then the file is renamed to decommissioned.json and stays,
// so that the daemon does not begin a new life by itself. Blocks; called when nothing else has the
// state directory open.

#include <filesystem>
#include <optional>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent {

struct Decommission {
  std::string order_id;
  std::string reason;
  // "controller", or the principal on this machine.
  std::string by;
  WallTime at{};

  friend bool operator==(const Decommission&, const Decommission&) = default;
};

// The point of no return.
Result<void> begin_decommission(FileSystem& fs,
                                const std::filesystem::path& state_dir,
                                const Decommission& decommission);

enum class LifeStage { kAlive, kEnding, kEnded };
LifeStage life_stage(const FileSystem& fs, const std::filesystem::path& state_dir);

// Keys are overwritten and deleted first, so that what follows cannot be read or used even if it is
// cut off. May be repeated; a failure says what is left.
Result<void> finish_decommission(FileSystem& fs, const std::filesystem::path& state_dir);

}  // namespace skerry::agent
