#pragma once

// Follows a grammar over bytes: a state is everything that may come next, whichever way the text
// so far was read. Ways that differ only in how they got here share their frames, so that an
// ambiguous grammar costs what its size says and not one state for each reading; what costs more
// than its budget all the same is an error, never a hang. Not thread-safe.

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/runtime/grammar.hpp"

namespace skerry::runtime {

struct MatcherLimits {
  std::size_t configs = 8192;    // of one state
  std::size_t states = 16384;    // known at a time
  std::size_t stored = 1048576;  // configurations of all these states
  std::size_t frames = 262144;   // known at a time, with their edges
  std::size_t visits = 262144;   // places that are reached without a byte, from one state
  std::size_t work = 2'000'000;  // configurations and edges looked at between two `refresh`
};

class GrammarMatcher {
 public:
  using State = std::uint32_t;
  // The text cannot go on in this way.
  static constexpr State kDead = std::numeric_limits<State>::max();

  explicit GrammarMatcher(std::shared_ptr<const Grammar> grammar, const MatcherLimits& limits = {});

  // Before the first byte. kInvalidArgument if the budget is spent, here and below.
  Result<State> start();
  // kDead if `byte` may not come next.
  Result<State> advance(State from, std::uint8_t byte);
  // The text may end here.
  [[nodiscard]] bool accepting(State state) const { return states_[state].accepting; }
  // The text can only end here.
  [[nodiscard]] bool complete(State state) const {
    return states_[state].accepting && states_[state].configs.empty();
  }
  // Gives a new budget and forgets what `keep` does not need, once that is much. Every other state
  // is void; returns the new name of `keep`.
  State refresh(State keep);

  [[nodiscard]] std::size_t states() const { return states_.size(); }
  // Configurations of all states.
  [[nodiscard]] std::size_t stored() const { return stored_; }
  // What is known takes so much of memory, in pieces of 8 to 100 bytes, as a grammar's nodes are.
  [[nodiscard]] std::size_t own_weight() const { return stored_ + frames_.size() + edges_; }
  [[nodiscard]] const Grammar& grammar() const { return *grammar_; }

 private:
  using NodeId = Grammar::NodeId;
  using FrameId = std::uint32_t;
  static constexpr State kUnknown = kDead - 1;
  static constexpr FrameId kRootFrame = 0;
  // Of a frame that is made at the present position.
  static constexpr FrameId kLocal = 0x80000000U;

  // Where to go on when a rule ends, and in which frame.
  struct Edge {
    NodeId node;
    FrameId frame;
    friend auto operator<=>(const Edge&, const Edge&) = default;
  };
  using Config = Edge;  // at `node`, in `frame`
  struct StateData {
    std::vector<Config> configs;  // at byte nodes only; sorted
    bool accepting = false;
    std::unique_ptr<std::array<State, 256>> next;
  };
  struct LocalFrame {
    std::uint32_t rule = 0;
    std::vector<Edge> edges;
    bool returned = false;
    std::optional<FrameId> final;
  };
  // What is reached from some configurations without taking a byte.
  class Closure;

  State intern_state(std::vector<Config> configs, bool accepting);
  FrameId intern_frame(std::vector<Edge> edges);
  Result<State> close(const std::vector<Config>& seeds);

  std::shared_ptr<const Grammar> grammar_;
  MatcherLimits limits_;
  std::size_t work_ = 0;
  std::size_t edges_ = 0;
  std::size_t stored_ = 0;
  std::vector<StateData> states_;
  std::vector<std::vector<Edge>> frames_;
  std::unordered_multimap<std::size_t, State> state_index_;
  std::unordered_multimap<std::size_t, FrameId> frame_index_;
};

}  // namespace skerry::runtime
