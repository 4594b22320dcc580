#pragma once

// What making a variant on this machine takes besides its result: the engine's working memory, and
// copies that lie in memory or on the disk for a moment. `DeriveFetch` asks before it starts an
// engine: a gateway that runs out of memory loses a model that answers, where a fetch only waits.

#include <cstdint>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/device_profile.hpp"

namespace skerry::agent {

struct DeriveNeed {
  std::uint64_t memory = 0;
  std::uint64_t disk = 0;
};

// What lies in memory meanwhile. Where models lie encrypted, both; where the file system of the
// store has no files without a name, the output.
struct DeriveCopies {
  bool source = false;
  bool output = false;
};

// For `wanted` bytes made of `source`, which has `source_size`. Engines turn one tensor of a GGUF
// file after the other into floats and back, so that the largest decides; of other files, the
// whole. Reads the header.
DeriveNeed derive_need(File& source,
                       std::uint64_t source_size,
                       std::uint64_t wanted,
                       DeriveCopies in_memory);

// kOutOfMemory, kNoSpace with both figures. Memory that the kernel does not tell is not judged.
Result<void> check_room(const DeriveNeed& need, const registry::DeviceProfile& machine);

}  // namespace skerry::agent
