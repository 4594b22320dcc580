#include "grammar_matcher.hpp"

#include <algorithm>
#include <string>
#include <unordered_set>

namespace skerry::runtime {
namespace {

Error too_ambiguous() {
  return Error{Error::Code::kInvalidArgument,
               "grammar: there are too many ways to go on here: write it with fewer alternatives "
               "that begin alike"};
}

std::uint64_t pair_key(std::uint32_t high, std::uint32_t low) {
  return (std::uint64_t{high} << 32U) | low;
}

template <class Items>
std::size_t hash_of(const Items& items, std::uint64_t seed) {
  for (const auto& item : items) {
    seed ^= pair_key(item.node, item.frame) + 0x9e3779b97f4a7c15ULL + (seed << 6U) + (seed >> 2U);
    seed *= 0xff51afd7ed558ccdULL;
  }
  return static_cast<std::size_t>(seed);
}

}  // namespace

// One position of the text. A rule that is called here has one frame, whoever calls it; when it
// ends here as well, it has matched nothing, and later callers go on at once.
class GrammarMatcher::Closure {
 public:
  explicit Closure(GrammarMatcher& matcher) : matcher_(matcher) {}

  bool run(const std::vector<Config>& seeds) {
    for (const Config& seed : seeds) {
      push(seed.node, seed.frame);
    }
    while (!work_.empty()) {
      const MatcherLimits& limits = matcher_.limits_;
      if (++matcher_.work_ > limits.work || seen_.size() > limits.visits ||
          out_.size() > limits.configs) {
        return false;
      }
      const Config config = work_.back();
      work_.pop_back();
      visit(config);
    }
    for (Config& config : out_) {
      if (!settle(config.frame)) {
        return false;
      }
    }
    std::sort(out_.begin(), out_.end());
    return true;
  }
  [[nodiscard]] bool accepting() const { return accepting_; }
  std::vector<Config> take() { return std::move(out_); }

 private:
  void push(NodeId node, FrameId frame) {
    if (seen_.insert(pair_key(node, frame)).second) {
      work_.push_back({node, frame});
    }
  }

  void visit(const Config& config) {
    const Grammar::Node& node = matcher_.grammar_->node(config.node);
    switch (node.kind) {
      case Grammar::Kind::kByte:
        out_.push_back(config);
        break;
      case Grammar::Kind::kSplit:
        push(node.other, config.frame);
        push(node.next, config.frame);
        break;
      case Grammar::Kind::kCall:
        call(node, config.frame);
        break;
      case Grammar::Kind::kReturn:
        leave(config.frame);
        break;
    }
  }

  void call(const Grammar::Node& node, FrameId frame) {
    const Grammar& grammar = *matcher_.grammar_;
    if (grammar.node(node.next).kind == Grammar::Kind::kReturn) {
      // Nothing comes after it: it takes the caller's place, and a list costs no frames.
      push(grammar.entry(node.other), frame);
      return;
    }
    const auto known = by_rule_.try_emplace(node.other, static_cast<FrameId>(locals_.size()));
    if (known.second) {
      locals_.emplace_back();
      locals_.back().rule = node.other;
      push(grammar.entry(node.other), known.first->second | kLocal);
    }
    LocalFrame& local = locals_[known.first->second];
    // A node is visited once in each frame, so that no edge is there twice.
    local.edges.push_back({node.next, frame});
    if (local.returned) {
      push(node.next, frame);
    }
  }

  void leave(FrameId frame) {
    if (frame == kRootFrame) {
      accepting_ = true;
      return;
    }
    if ((frame & kLocal) == 0) {
      go_on(matcher_.frames_[frame]);
      return;
    }
    LocalFrame& local = locals_[frame & ~kLocal];
    local.returned = true;
    go_on(local.edges);
  }

  // Many rules may end in one frame: its edges cost each time, also where nothing is new.
  void go_on(const std::vector<Edge>& edges) {
    matcher_.work_ += edges.size();
    for (const Edge& edge : edges) {
      push(edge.node, edge.frame);
    }
  }

  // Gives a local frame, and those it leads to, their lasting names. There is no cycle: that would
  // be left recursion, which the compiler has refused.
  bool settle(FrameId& frame) {
    if ((frame & kLocal) == 0) {
      return true;
    }
    std::vector<FrameId> path{frame & ~kLocal};
    while (!path.empty()) {
      LocalFrame& local = locals_[path.back()];
      if (local.final) {
        path.pop_back();
        continue;
      }
      if (path.size() > locals_.size()) {
        return false;
      }
      bool ready = true;
      for (Edge& edge : local.edges) {
        if ((edge.frame & kLocal) == 0) {
          continue;
        }
        const std::optional<FrameId>& final = locals_[edge.frame & ~kLocal].final;
        if (final) {
          edge.frame = *final;
        } else {
          path.push_back(edge.frame & ~kLocal);
          ready = false;
          break;
        }
      }
      matcher_.work_ += local.edges.size();
      if (matcher_.work_ > matcher_.limits_.work) {
        return false;
      }
      if (ready) {
        local.final = matcher_.intern_frame(local.edges);
        path.pop_back();
      }
    }
    frame = *locals_[frame & ~kLocal].final;
    return true;
  }

  GrammarMatcher& matcher_;
  std::vector<Config> work_;
  std::vector<Config> out_;
  std::vector<LocalFrame> locals_;
  std::unordered_map<std::uint32_t, FrameId> by_rule_;
  std::unordered_set<std::uint64_t> seen_;
  bool accepting_ = false;
};

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar, const MatcherLimits& limits)
    : grammar_(std::move(grammar)), limits_(limits), frames_(1) {}

GrammarMatcher::FrameId GrammarMatcher::intern_frame(std::vector<Edge> edges) {
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  const std::size_t hash = hash_of(edges, 1);
  const auto [from, to] = frame_index_.equal_range(hash);
  for (auto it = from; it != to; ++it) {
    if (frames_[it->second] == edges) {
      return it->second;
    }
  }
  const auto id = static_cast<FrameId>(frames_.size());
  edges_ += edges.size();
  frames_.push_back(std::move(edges));
  frame_index_.emplace(hash, id);
  return id;
}

GrammarMatcher::State GrammarMatcher::intern_state(std::vector<Config> configs, bool accepting) {
  const std::size_t hash = hash_of(configs, accepting ? 3 : 2);
  const auto [from, to] = state_index_.equal_range(hash);
  for (auto it = from; it != to; ++it) {
    const StateData& known = states_[it->second];
    if (known.accepting == accepting && known.configs == configs) {
      return it->second;
    }
  }
  const auto id = static_cast<State>(states_.size());
  StateData made;
  stored_ += configs.size();
  made.configs = std::move(configs);
  made.accepting = accepting;
  states_.push_back(std::move(made));
  state_index_.emplace(hash, id);
  return id;
}

Result<GrammarMatcher::State> GrammarMatcher::close(const std::vector<Config>& seeds) {
  Closure closure{*this};
  if (!closure.run(seeds) || states_.size() >= limits_.states || stored_ > limits_.stored ||
      frames_.size() + edges_ > limits_.frames) {
    return too_ambiguous();
  }
  const bool accepting = closure.accepting();
  std::vector<Config> configs = closure.take();
  if (configs.empty() && !accepting) {
    return kDead;
  }
  return intern_state(std::move(configs), accepting);
}

Result<GrammarMatcher::State> GrammarMatcher::start() {
  return close({Config{grammar_->entry(grammar_->root()), kRootFrame}});
}

Result<GrammarMatcher::State> GrammarMatcher::advance(State from, std::uint8_t byte) {
  if (states_[from].next == nullptr) {
    states_[from].next = std::make_unique<std::array<State, 256>>();
    states_[from].next->fill(kUnknown);
  }
  if (const State known = (*states_[from].next)[byte]; known != kUnknown) {
    return known;
  }
  std::vector<Config> seeds;
  for (const Config& config : states_[from].configs) {
    const Grammar::Node& node = grammar_->node(config.node);
    if (node.low <= byte && byte <= node.high) {
      seeds.push_back({node.next, config.frame});
    }
  }
  work_ += states_[from].configs.size();
  Result<State> to = seeds.empty() ? Result<State>{kDead} : close(seeds);
  if (to) {
    (*states_[from].next)[byte] = *to;
  }
  return to;
}

GrammarMatcher::State GrammarMatcher::refresh(State keep) {
  work_ = 0;
  if (states_.size() < limits_.states / 4 && stored_ < limits_.stored / 4 &&
      frames_.size() + edges_ < limits_.frames / 4) {
    return keep;
  }
  // A frame's edges lead to frames that are older, so that one pass down finds what is needed and
  // one pass up makes it again.
  std::vector<bool> needed(frames_.size(), false);
  needed[kRootFrame] = true;
  std::vector<Config> configs = std::move(states_[keep].configs);
  const bool accepting = states_[keep].accepting;
  for (const Config& config : configs) {
    needed[config.frame] = true;
  }
  for (std::size_t id = frames_.size(); id-- > 0;) {
    for (const Edge& edge : frames_[id]) {
      needed[edge.frame] = needed[edge.frame] || needed[id];
    }
  }
  std::vector<std::vector<Edge>> old(1);
  old.swap(frames_);
  frame_index_.clear();
  state_index_.clear();
  states_.clear();
  edges_ = 0;
  stored_ = 0;
  std::vector<FrameId> names(old.size(), kRootFrame);
  for (std::size_t id = 1; id < old.size(); ++id) {
    if (needed[id]) {
      for (Edge& edge : old[id]) {
        edge.frame = names[edge.frame];
      }
      names[id] = intern_frame(std::move(old[id]));
    }
  }
  for (Config& config : configs) {
    config.frame = names[config.frame];
  }
  std::sort(configs.begin(), configs.end());
  return intern_state(std::move(configs), accepting);
}

}  // namespace skerry::runtime
