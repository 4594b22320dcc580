#pragma once

// A GBNF grammar (the notation of llama.cpp) made ready to be followed byte by byte. Callers write
// it, so it is hostile: text, nesting, repetition and size are bounded, and what cannot be followed
// in bounded time (left recursion) is refused. Used by `Constraint` (constraint.hpp). ADR 0104.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::runtime {

struct GrammarLimits {
  std::size_t bytes = 256U << 10U;
  std::size_t rules = 8192;
  std::size_t nesting = 64;         // of parentheses
  std::size_t items = 64U << 10U;   // texts, classes, names, groups and alternatives, as written
  std::uint32_t repeats = 4096;     // the numbers in x{m,n}
  std::size_t nodes = 256U << 10U;  // of the compiled form
};

// A recursive transition network over bytes.
class Grammar {
 public:
  using NodeId = std::uint32_t;
  enum class Kind : std::uint8_t {
    kByte,    // a byte from `low` to `high`, then `next`
    kSplit,   // `next` or `other`
    kCall,    // rule `other`, then `next`
    kReturn,  // the end of a rule
  };
  struct Node {
    Kind kind = Kind::kReturn;
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    NodeId next = 0;
    NodeId other = 0;
  };

  // kInvalidArgument says what is wrong and at which line and column. The first symbol is "root".
  static Result<std::shared_ptr<const Grammar>> parse(std::string_view text,
                                                      const GrammarLimits& limits = {});

  [[nodiscard]] const Node& node(NodeId id) const { return nodes_[id]; }
  // Where a rule begins.
  [[nodiscard]] NodeId entry(std::uint32_t rule) const { return entries_[rule]; }
  [[nodiscard]] std::uint32_t root() const { return root_; }
  [[nodiscard]] std::size_t rules() const { return entries_.size(); }
  [[nodiscard]] std::size_t nodes() const { return nodes_.size(); }

 private:
  friend class GrammarCompiler;
  std::vector<Node> nodes_;
  std::vector<NodeId> entries_;
  std::uint32_t root_ = 0;
};

}  // namespace skerry::runtime
