#pragma once

// The process that is killed: fetches one blob into a store by the code that the agent uses. What
// it received is counted in a file that it shares with the bench, so that a kill loses no figure.

#include <atomic>
#include <cstdint>
#include <filesystem>

#include "skerry/common/result.hpp"
#include "skerry/registry/wanted_blob.hpp"

namespace skerry::bench {

struct FetchCounters {
  // Payload of the blob that arrived, chunks that came again included.
  std::atomic<std::uint64_t> received{0};
  // Bytes that this process found verified when it began; kUnknown before the first byte.
  std::atomic<std::uint64_t> kept{0};
  std::atomic<std::uint64_t> rejected{0};
  static constexpr std::uint64_t kUnknown = UINT64_MAX;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// The counters in `folder`, created if need be; they stay mapped.
Result<FetchCounters*> map_counters(const std::filesystem::path& folder);

// `folder` holds ca.pem, device.pem, device.key, address, wanted. Blocks until the blob is stored.
Result<void> fetch_until_done(const std::filesystem::path& folder);

// What `fetch_until_done` reads.
void write_wanted(const std::filesystem::path& folder, const registry::WantedBlob& wanted);

}  // namespace skerry::bench
