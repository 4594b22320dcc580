#pragma once

// Prompts that an operator pinned with a model: a worker computes them while nobody asks, keeps
// them, and shares them between all principals (ADR 0114). Plain values, from the daemon to the
// scheduler and back.

#include <cstdint>
#include <string>
#include <vector>

#include "skerry/runtime/request.hpp"

namespace skerry::runtime {

// What conversations begin with; the user's words follow.
struct PinnedPrompt {
  std::string name;
  std::vector<ChatMessage> messages;
};

// Values go over the wire.
enum class PinState : std::uint8_t { kWaiting = 0, kReady = 1, kFailed = 2 };

// "computing", "ready", "failed"
std::string_view to_string(PinState state) noexcept;

struct PinStatus {
  std::string name;
  PinState state = PinState::kWaiting;
  // That are kept, or will be: whole blocks of 32.
  std::uint32_t tokens = 0;
  // Of kFailed: why.
  std::string problem{};

  friend bool operator==(const PinStatus&, const PinStatus&) = default;
};

}  // namespace skerry::runtime
