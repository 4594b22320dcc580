#include "evaluator.hpp"

#include <algorithm>

#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

// Names of variables.
constexpr std::size_t kComparedPerWork = 16;

// Enters a scope for as long as it lives.
class Inside {
 public:
  Inside(Scope*& current, Scope& inner, Scope* outer) : current_(current), before_(current) {
    inner.outer = outer;
    current = &inner;
  }
  ~Inside() { current_ = before_; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Scope*& current_;
  Scope* before_;
};

class CallerGuard {
 public:
  using Callers = std::vector<std::pair<const Macro*, Scope*>>;
  CallerGuard(Callers& callers, const Macro* macro, Scope* scope) : callers_(callers) {
    callers.emplace_back(macro, scope);
  }
  ~CallerGuard() { callers_.pop_back(); }
  CallerGuard(const CallerGuard&) = delete;
  CallerGuard& operator=(const CallerGuard&) = delete;

 private:
  Callers& callers_;
};

void set_in(Scope& scope, std::string_view name, Value value) {
  for (auto& [known, old] : scope.variables) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  scope.variables.emplace_back(name, std::move(value));
}

}  // namespace

ChatText Evaluator::run(const Program& program) {
  run(program.body);
  return std::move(out_);
}

Evaluator::Flow Evaluator::run(const Block& block) {
  const Budget::Level level(budget_);
  for (const auto& statement : block) {
    if (const Flow flow = run(*statement); flow != Flow::kGoOn) {
      return flow;
    }
  }
  return Flow::kGoOn;
}

Evaluator::Flow Evaluator::run(const Stmt& statement) {
  budget_.work();
  line_ = statement.line;
  switch (statement.kind) {
    case StmtKind::kText:
      write(statement.text);
      return Flow::kGoOn;
    case StmtKind::kOutput:
      write(eval(*statement.value));
      return Flow::kGoOn;
    case StmtKind::kIf:
      return run_if(statement);
    case StmtKind::kFor:
      return run_for(statement);
    case StmtKind::kSet:
      bind(statement.targets, eval(*statement.value));
      return Flow::kGoOn;
    case StmtKind::kSetBlock:
      assign(statement.targets[0], captured(statement.body, statement.filters));
      return Flow::kGoOn;
    case StmtKind::kFilter:
      write(captured(statement.body, statement.filters));
      return Flow::kGoOn;
    case StmtKind::kMacro:
      set_in(
          *scope_, statement.macro->name, Value{static_cast<const Macro*>(statement.macro.get())});
      return Flow::kGoOn;
    case StmtKind::kCall:
      run_call(statement);
      return Flow::kGoOn;
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kGoOn;
}

void Evaluator::write(const Value& value) {
  const ChatText* text = value.text();
  const ChatText made = text == nullptr ? to_text(budget_, value) : ChatText{};
  const ChatText& add = text == nullptr ? made : *text;
  budget_.memory(add.bytes.size() + add.given.size() * sizeof(ChatText::Span));
  if (out_.bytes.size() + add.bytes.size() > budget_.limits().output) {
    throw Fault{"a longer text than a prompt may be", false, true};
  }
  out_.append(add);
}

Evaluator::Flow Evaluator::run_if(const Stmt& statement) {
  for (const Branch& branch : statement.branches) {
    if (!branch.condition || truth(eval(*branch.condition))) {
      return run(branch.body);
    }
  }
  return Flow::kGoOn;
}

Evaluator::Flow Evaluator::run_for(const Stmt& statement) {
  List items = elements(budget_, eval(*statement.value));
  if (statement.condition) {
    List kept;
    for (Value& item : items) {
      Scope inner;
      const Inside inside(scope_, inner, scope_);
      bind(statement.targets, item);
      if (truth(eval(*statement.condition))) {
        kept.push_back(std::move(item));
      }
    }
    items = std::move(kept);
  }
  if (items.empty()) {
    return run(statement.otherwise);
  }
  LoopState loop{std::move(items), 0, loops_ + 1};
  ++loops_;
  for (; loop.index < loop.items.size(); ++loop.index) {
    budget_.work();
    Scope inner;
    const Inside inside(scope_, inner, scope_);
    inner.variables.emplace_back("loop", Value{static_cast<const LoopState*>(&loop)});
    bind(statement.targets, loop.items[loop.index]);
    if (run(statement.body) == Flow::kBreak) {
      break;
    }
  }
  --loops_;
  return Flow::kGoOn;
}

void Evaluator::bind(const std::vector<std::string>& targets, const Value& value) {
  if (targets.size() == 1) {
    assign(targets[0], value);
    return;
  }
  const List parts = elements(budget_, value);
  if (parts.size() != targets.size()) {
    fault("a value of " + std::to_string(parts.size()) + " parts cannot be set to " +
          std::to_string(targets.size()) + " variables");
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    assign(targets[i], parts[i]);
  }
}

void Evaluator::assign(std::string_view target, Value value) {
  budget_.memory(sizeof(Value));
  const std::size_t dot = target.find('.');
  if (dot == std::string_view::npos) {
    if (value.get<const LoopState*>() != nullptr) {
      fault("\"loop\" cannot be kept in a variable");
    }
    budget_.work(scope_->variables.size() / kComparedPerWork);
    set_in(*scope_, target, std::move(value));
    return;
  }
  const Value* owner = find(target.substr(0, dot));
  Namespace* space = owner == nullptr ? nullptr : owner->space();
  if (space == nullptr) {
    fault("members can be set in a namespace only, which \"" + std::string{target.substr(0, dot)} +
          "\" is not");
  }
  if (value.space() != nullptr || value.get<const LoopState*>() != nullptr) {
    fault("a namespace or a loop cannot be kept in a namespace");
  }
  const std::string_view name = target.substr(dot + 1);
  budget_.work(1 + space->items.size() / 8);
  for (auto& [known, old] : space->items) {
    if (known == name) {
      old = std::move(value);
      return;
    }
  }
  space->items.emplace_back(std::string{name}, std::move(value));
}

Value Evaluator::captured(const Block& block, const std::vector<ExprPtr>& filters) {
  ChatText outside = std::exchange(out_, {});
  Scope inner;
  {
    const Inside inside(scope_, inner, scope_);
    run(block);
  }
  Value value = make_text(budget_, std::exchange(out_, std::move(outside)));
  for (const ExprPtr& filter : filters) {
    value = apply_filter(budget_, filter->name, value, arguments_of(*filter, 1));
  }
  return value;
}

void Evaluator::run_call(const Stmt& statement) {
  const Expr& call = *statement.value;
  const Value callee = eval(*call.kids[0]);
  const auto* macro = callee.get<const Macro*>();
  if (macro == nullptr) {
    fault(describe(*call.kids[0]) + " is no macro");
  }
  const Arguments arguments = arguments_of(call, 1);
  const CallerGuard guard(callers_, statement.macro.get(), scope_);
  write(call_macro(**macro, arguments));
}

Value Evaluator::call_macro(const Macro& macro, const Arguments& arguments) {
  const Budget::Level level(budget_);
  Scope inner;
  Scope* outer = &root_;
  for (auto caller = callers_.rbegin(); caller != callers_.rend(); ++caller) {
    if (caller->first == &macro) {
      outer = caller->second;
      break;
    }
  }
  if (!callers_.empty() && outer == &root_) {
    inner.variables.emplace_back("caller", Value{callers_.back().first});
  }
  if (arguments.values.size() > macro.parameters.size()) {
    fault("the macro " + macro.name + " takes " + std::to_string(macro.parameters.size()) +
          " arguments");
  }
  ChatText outside = std::exchange(out_, {});
  const std::uint32_t line = line_;
  const std::size_t loops = std::exchange(loops_, 0);
  {
    const Inside inside(scope_, inner, outer);
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const auto& [name, otherwise] = macro.parameters[i];
      Value value = arguments.get(i, name);
      if (value.is_undefined() && otherwise) {
        value = eval(*otherwise);
      }
      inner.variables.emplace_back(name, std::move(value));
    }
    run(macro.body);
  }
  loops_ = loops;
  line_ = line;
  return make_text(budget_, std::exchange(out_, std::move(outside)));
}

const Value* Evaluator::find(std::string_view name) const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    budget_.work(scope->variables.size() / kComparedPerWork);
    for (const auto& [known, value] : scope->variables) {
      if (known == name) {
        return &value;
      }
    }
  }
  return nullptr;
}

std::string describe(const Expr& node) {
  switch (node.kind) {
    case ExprKind::kName:
      return "\"" + node.name + "\"";
    case ExprKind::kMember:
      return "\"." + node.name + "\" of " + describe(*node.kids[0]);
    case ExprKind::kIndex:
      if (const ChatText* key = node.kids[1]->literal.text()) {
        return "\"" + key->bytes.substr(0, 40) + "\" of " + describe(*node.kids[0]);
      }
      return "an element of " + describe(*node.kids[0]);
    case ExprKind::kCall:
      return "what " + describe(*node.kids[0]) + " gives";
    default:
      return "a value";
  }
}

}  // namespace skerry::runtime::jinja
