// From what a grammar says to a network that is followed byte by byte, and the check that following
// it ends.

#include "skerry/runtime/grammar.hpp"

#include <algorithm>
#include <optional>

#include "grammar_syntax.hpp"

namespace skerry::runtime {

// Compiles backwards: every part is told what comes after it.
class GrammarCompiler {
 public:
  using NodeId = Grammar::NodeId;
  using Kind = Grammar::Kind;

  GrammarCompiler(const GrammarSyntax& syntax, const GrammarLimits& limits)
      : syntax_(syntax), limits_(limits) {}

  Result<std::shared_ptr<const Grammar>> run() {
    grammar_->root_ = syntax_.root;
    grammar_->entries_.resize(syntax_.rules.size());
    for (std::uint32_t rule = 0; rule < syntax_.rules.size(); ++rule) {
      grammar_->entries_[rule] = body(syntax_.rules[rule]);
      if (grammar_->nodes_.size() >= limits_.nodes) {
        return Error{Error::Code::kInvalidArgument,
                     "grammar: it is too large: its parts, repeated as it says, are more than " +
                         std::to_string(limits_.nodes)};
      }
    }
    if (auto rule = left_recursive()) {
      return Error{Error::Code::kInvalidArgument,
                   "grammar: the rule \"" + syntax_.names[std::min(*rule, named() - 1)] +
                       "\" begins with itself: write it so that something else comes first"};
    }
    return std::shared_ptr<const Grammar>{std::move(grammar_)};
  }

 private:
  [[nodiscard]] std::uint32_t named() const {
    return static_cast<std::uint32_t>(syntax_.names.size());
  }

  NodeId add(Kind kind, NodeId next = 0, NodeId other = 0) {
    // Beyond the limit nothing is kept: `run` refuses the grammar after this rule.
    if (grammar_->nodes_.size() < limits_.nodes) {
      grammar_->nodes_.push_back({.kind = kind, .low = 0, .high = 0, .next = next, .other = other});
    }
    return static_cast<NodeId>(grammar_->nodes_.size() - 1);
  }

  NodeId bytes(std::uint8_t low, std::uint8_t high, NodeId next) {
    const NodeId id = add(Kind::kByte, next);
    grammar_->nodes_[id].low = low;
    grammar_->nodes_[id].high = high;
    return id;
  }

  NodeId body(const GrammarExpr& expr) {
    const NodeId end = add(Kind::kReturn);
    return expression(expr, end);
  }

  NodeId expression(const GrammarExpr& expr, NodeId next) {
    switch (expr.kind) {
      case GrammarExpr::Kind::kClass:
        return character_class(expr.ranges, next);
      case GrammarExpr::Kind::kText:
        for (auto byte = expr.text.rbegin(); byte != expr.text.rend(); ++byte) {
          const auto value = static_cast<std::uint8_t>(*byte);
          next = bytes(value, value, next);
        }
        return next;
      case GrammarExpr::Kind::kRule:
        return add(Kind::kCall, next, expr.rule);
      case GrammarExpr::Kind::kSequence:
        for (auto part = expr.parts.rbegin(); part != expr.parts.rend(); ++part) {
          next = expression(*part, next);
        }
        return next;
      case GrammarExpr::Kind::kChoice: {
        NodeId first = expression(expr.parts.back(), next);
        for (std::size_t i = expr.parts.size() - 1; i-- > 0;) {
          first = add(Kind::kSplit, expression(expr.parts[i], next), first);
        }
        return first;
      }
      case GrammarExpr::Kind::kRepeat:
        return repeat(expr, next);
    }
    return next;
  }

  NodeId character_class(const std::vector<CodeRange>& ranges, NodeId next) {
    NodeId first = 0;
    bool any = false;
    for (const CodeRange& range : ranges) {
      for (const ByteRanges& sequence : utf8_ranges(range)) {
        NodeId one = next;
        for (auto byte = sequence.rbegin(); byte != sequence.rend(); ++byte) {
          one = bytes(byte->first, byte->second, one);
        }
        first = any ? add(Kind::kSplit, one, first) : one;
        any = true;
      }
    }
    return any ? first : bytes(1, 0, next);  // nothing is in this class
  }

  NodeId repeat(const GrammarExpr& expr, NodeId next) {
    const bool unbounded = expr.most == GrammarExpr::kUnbounded;
    const GrammarExpr* part = &expr.parts.front();
    const std::uint32_t copies = unbounded ? expr.least + 1 : expr.most;
    // What is written several times becomes a rule, so that a repetition costs two nodes.
    GrammarExpr call;
    if (copies > 1) {
      call.kind = GrammarExpr::Kind::kRule;
      call.rule = static_cast<std::uint32_t>(grammar_->entries_.size());
      grammar_->entries_.push_back(0);
      grammar_->entries_[call.rule] = body(*part);
      part = &call;
    }
    if (unbounded) {
      const NodeId loop = add(Kind::kSplit, 0, next);
      const NodeId inner = expression(*part, loop);
      grammar_->nodes_[loop].next = inner;
      next = loop;
    } else {
      const NodeId leave = next;
      for (std::uint32_t i = expr.least; i < expr.most && has_room(); ++i) {
        next = add(Kind::kSplit, expression(*part, next), leave);
      }
    }
    for (std::uint32_t i = 0; i < expr.least && has_room(); ++i) {
      next = expression(*part, next);
    }
    return next;
  }

  [[nodiscard]] bool has_room() const { return grammar_->nodes_.size() < limits_.nodes; }

  // A rule that can come to itself before a byte is taken. Every node is looked at once: a call is
  // passed when its rule is found to match nothing.
  std::optional<std::uint32_t> left_recursive() const {
    const std::vector<Grammar::Node>& nodes = grammar_->nodes_;
    const std::size_t rules = grammar_->entries_.size();
    std::vector<std::uint32_t> owner(nodes.size(), 0);
    std::vector<bool> seen(nodes.size(), false);
    std::vector<bool> nullable(rules, false);
    std::vector<std::vector<NodeId>> waiting(rules);
    std::vector<std::vector<std::uint32_t>> calls(rules);
    std::vector<std::pair<NodeId, std::uint32_t>> work;
    for (std::uint32_t rule = 0; rule < rules; ++rule) {
      work.emplace_back(grammar_->entries_[rule], rule);
    }
    while (!work.empty()) {
      const auto [id, rule] = work.back();
      work.pop_back();
      if (seen[id]) {
        continue;
      }
      seen[id] = true;
      owner[id] = rule;
      const Grammar::Node& node = nodes[id];
      if (node.kind == Kind::kSplit) {
        work.emplace_back(node.next, rule);
        work.emplace_back(node.other, rule);
      } else if (node.kind == Kind::kCall) {
        calls[rule].push_back(node.other);
        if (nullable[node.other]) {
          work.emplace_back(node.next, rule);
        } else {
          waiting[node.other].push_back(id);
        }
      } else if (node.kind == Kind::kReturn && !nullable[rule]) {
        nullable[rule] = true;
        for (const NodeId caller : waiting[rule]) {
          work.emplace_back(nodes[caller].next, owner[caller]);
        }
      }
    }
    return find_cycle(calls);
  }

  static std::optional<std::uint32_t> find_cycle(
      const std::vector<std::vector<std::uint32_t>>& edges) {
    enum class Mark : std::uint8_t { kNew, kOpen, kDone };
    std::vector<Mark> marks(edges.size(), Mark::kNew);
    std::vector<std::pair<std::uint32_t, std::size_t>> path;
    for (std::uint32_t from = 0; from < edges.size(); ++from) {
      if (marks[from] != Mark::kNew) {
        continue;
      }
      marks[from] = Mark::kOpen;
      path.emplace_back(from, 0);
      while (!path.empty()) {
        auto& [rule, next] = path.back();
        if (next == edges[rule].size()) {
          marks[rule] = Mark::kDone;
          path.pop_back();
          continue;
        }
        const std::uint32_t to = edges[rule][next++];
        if (marks[to] == Mark::kOpen) {
          return to;
        }
        if (marks[to] == Mark::kNew) {
          marks[to] = Mark::kOpen;
          path.emplace_back(to, 0);
        }
      }
    }
    return std::nullopt;
  }

  const GrammarSyntax& syntax_;
  const GrammarLimits& limits_;
  std::shared_ptr<Grammar> grammar_ = std::make_shared<Grammar>();
};

Result<std::shared_ptr<const Grammar>> Grammar::parse(std::string_view text,
                                                      const GrammarLimits& limits) {
  Result<GrammarSyntax> syntax = parse_grammar_syntax(text, limits);
  if (!syntax) {
    return syntax.error();
  }
  return GrammarCompiler{*syntax, limits}.run();
}

}  // namespace skerry::runtime
