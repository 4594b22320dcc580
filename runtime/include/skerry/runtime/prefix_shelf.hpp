#pragma once

// Where the supervisor keeps states of idle prefixes for later workers: the daemon's folder on disk
// (DiskPrefixShelf in agent/), or memory in tests. Called on the supervisor's executor, where
// no call may block. ADR 0103.
//
// What workers hand in is theirs alone: a state goes back only to workers of the same model, which
// the supervisor vouches for.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "skerry/async/task.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/prefix_tier.hpp"

namespace skerry::runtime {

// Sealed memory (memfd_create) of `size` bytes: nobody changes or shortens it any more.
struct PrefixBytes {
  UniqueFd fd;
  std::uint64_t size = 0;
};

class PrefixShelf {
 public:
  struct Found {
    PrefixBytes bytes;
    std::uint32_t tokens = 0;  // that the state holds
    std::uint32_t common = 0;  // of them, those that the names cover
  };

  virtual ~PrefixShelf() = default;
  // Bytes of the largest state that it takes; 0: it takes none.
  [[nodiscard]] virtual std::uint64_t largest() const = 0;
  // Keeps the state or does not; ends when it needs the bytes no more. Failures are its own matter.
  virtual Task<void> save(Digest model, PrefixState state, PrefixBytes bytes) = 0;
  // The state of the model and format that has the first of `names` which any has.
  virtual Task<std::optional<Found>> find(Digest model,
                                          std::string format,
                                          std::vector<Digest> names) = 0;
  // The state of the model that ends with this block is of a pinned prompt: from now on, others do
  // not go before it (ADR 0114).
  virtual void hold(const Digest& /*model*/, const Digest& /*name*/) {}
  // Forgets those of the model that have this name: an engine refused one.
  virtual void drop(const Digest& model, const Digest& name) = 0;
};

}  // namespace skerry::runtime
