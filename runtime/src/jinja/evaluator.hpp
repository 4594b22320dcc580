#pragma once

// Runs a parsed template: one for each rendering. Every node costs work, every value memory.

#include <string_view>
#include <utility>
#include <vector>

#include "ast.hpp"
#include "calls.hpp"

namespace skerry::runtime::jinja {

struct LoopState {
  List items;
  std::size_t index = 0;
  std::size_t depth = 1;
};

// Variables of one level; the outer ones stay visible.
struct Scope {
  std::vector<std::pair<std::string_view, Value>> variables;
  Scope* outer = nullptr;
};

class Evaluator {
 public:
  // `variables` are what the template finds at its outermost level.
  Evaluator(Budget& budget, Scope variables, std::int64_t now)
      : budget_(budget), root_(std::move(variables)), scope_(&root_), now_(now) {}
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Throws Fault; `line` tells where.
  ChatText run(const Program& program);
  [[nodiscard]] std::uint32_t line() const { return line_; }

 private:
  enum class Flow : std::uint8_t { kGoOn, kBreak, kContinue };

  Flow run(const Block& block);
  Flow run(const Stmt& statement);
  Flow run_if(const Stmt& statement);
  Flow run_for(const Stmt& statement);
  void run_call(const Stmt& statement);
  void bind(const std::vector<std::string>& targets, const Value& value);
  void assign(std::string_view target, Value value);
  // What the block writes, then filtered.
  Value captured(const Block& block, const std::vector<ExprPtr>& filters);
  void write(const Value& value);

  Value eval(const Expr& node);
  Value eval_name(const Expr& node);
  Value eval_member(const Expr& node);
  Value eval_slice(const Expr& node);
  Value eval_call(const Expr& node);
  Value eval_unary(const Expr& node);
  Value eval_binary(const Expr& node);
  Value eval_compare(const Expr& node);
  Value arithmetic(std::string_view op, const Value& left, const Value& right);
  Value add(const Value& left, const Value& right);
  Value multiply(const Value& left, const Value& right);
  Value loop_member(const LoopState& loop, std::string_view name);
  Value call_macro(const Macro& macro, const Arguments& arguments);
  Arguments arguments_of(const Expr& node, std::size_t first);
  [[nodiscard]] const Value* find(std::string_view name) const;

  Budget& budget_;
  Scope root_;
  Scope* scope_;
  std::int64_t now_;
  ChatText out_;
  std::uint32_t line_ = 1;
  std::size_t loops_ = 0;
  // Blocks of {% call %} and the scopes that they see.
  std::vector<std::pair<const Macro*, Scope*>> callers_;
};

// How an expression was written, roughly: for messages.
std::string describe(const Expr& node);

}  // namespace skerry::runtime::jinja
