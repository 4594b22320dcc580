#pragma once

// The second tier of the prefix cache as the scheduler sees it: takes states of idle prefixes and
// finds those of earlier lives of the worker. In skerry-worker it hands them to the daemon, which
// keeps them on disk (ADR 0103); tests keep them in memory. Called on the scheduler's thread; no
// call waits for a disk.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::runtime {

// What is told of a state beside its bytes.
struct PrefixState {
  // Of its blocks, from the first one on: a prompt may share a part of them only.
  std::vector<Digest> names;
  std::uint32_t tokens = 0;
  // As StepEngine::state_format says.
  std::string format;
  // What computing it again would take here.
  std::chrono::nanoseconds recompute{0};
  // Of a prompt that the operator pinned.
  bool pinned = false;
};

// Keys of questions for pinned prompts have this bit; no request's key has it.
inline constexpr RequestKey kPinnedKey = RequestKey{1} << 63U;

// What a request may go on from.
struct FoundPrefix {
  std::uint32_t tokens = 0;  // that the state holds
  std::uint32_t common = 0;  // of them, those that the prompt begins with
  ByteView bytes;
  std::shared_ptr<const void> holder;  // keeps `bytes`
};

class PrefixTier {
 public:
  // Writes the state and returns its size; called at once or not at all.
  using Fill = std::function<Result<std::size_t>(std::span<std::uint8_t>)>;

  virtual ~PrefixTier() = default;
  // Bytes of the largest state that it takes.
  [[nodiscard]] virtual std::uint64_t largest() const = 0;
  // It has not finished with the last state yet: `save` must wait.
  [[nodiscard]] virtual bool busy() const = 0;
  // Takes a state of at most `room` bytes.
  virtual Result<void> save(PrefixState state, std::size_t room, const Fill& fill) = 0;
  // Looks for the state that shares most with these names, of which the longest prefix comes first.
  // The answer is Scheduler::found, later; there may be none.
  virtual void find(RequestKey key, std::vector<Digest> names) = 0;
  // The engine refused the state of that name: it should not be offered again.
  virtual void drop(const Digest& name) = 0;
};

}  // namespace skerry::runtime
