#pragma once

// Deltas between blobs that the controller serves, for devices that ask: made one at a time on a
// thread of their own at low priority, kept in a vault beside the blobs, bounded by `deltas.cache`.
// A delta is a hint that the device checks, so nothing here is signed. Thread-safe; `find` does not
// wait for a delta to be made.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/blob_vault.hpp"

namespace skerry::controller {

// A delta as a blob with its chunk index, both in the workshop's vault.
struct KeptDelta {
  Digest base;
  Digest delta;
  std::uint64_t size = 0;
  std::uint32_t chunk_size = 0;
  Digest chunks;
};

struct DeltaAnswer {
  enum class State { kNone, kPending, kReady };
  State state = State::kNone;
  KeptDelta kept;  // kReady
};

class DeltaWorkshop {
 public:
  // Reads what is kept and starts the thread. `cache` 0: no delta is ever made. References must
  // outlive it.
  static Result<std::unique_ptr<DeltaWorkshop>> open(FileSystem& fs,
                                                     const std::filesystem::path& directory,
                                                     const BlobVault& blobs,
                                                     std::uint64_t cache,
                                                     Log log);
  // Stops what is being made.
  ~DeltaWorkshop();
  DeltaWorkshop(const DeltaWorkshop&) = delete;
  DeltaWorkshop& operator=(const DeltaWorkshop&) = delete;

  // A delta to `target` from the first of `held` that has one; otherwise orders one from the first
  // that is here.
  DeltaAnswer find(const Digest& target, std::span<const Digest> held);

  // Where the deltas are served from.
  [[nodiscard]] const BlobVault& vault() const;

  struct Impl;

 private:
  explicit DeltaWorkshop(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::controller
