#include <algorithm>

#include "arithmetic.hpp"
#include "evaluator.hpp"
#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

double as_fraction(const Value& value) {
  const double* number = value.get<double>();
  return number != nullptr ? *number : static_cast<double>(whole_number(value, "arithmetic"));
}

bool is_whole(const Value& value) {
  return value.get<std::int64_t>() != nullptr || value.get<bool>() != nullptr;
}

[[noreturn]] void no_arithmetic(std::string_view op, const Value& left, const Value& right) {
  fault("\"" + std::string{op} + "\" does not join a " + std::string{kind_name(left)} + " and a " +
        std::string{kind_name(right)});
}

// Python's slice bounds over `size` elements.
std::vector<std::size_t> slice_indexes(
    Budget& budget, std::size_t size, const Value& from, const Value& to, const Value& by) {
  const auto count = static_cast<std::int64_t>(size);
  const auto given = [](const Value& value) { return !value.is_undefined() && !value.is_none(); };
  const std::int64_t step = given(by) ? whole_number(by, "a slice") : 1;
  if (step == 0) {
    fault("a slice takes a step that is not 0");
  }
  const auto bound = [&](const Value& value, std::int64_t otherwise) {
    if (!given(value)) {
      return otherwise;
    }
    std::int64_t at = whole_number(value, "a slice");
    at = std::clamp<std::int64_t>(at, -count - 1, count + 1);
    at += at < 0 ? count : 0;
    return step > 0 ? std::clamp<std::int64_t>(at, 0, count)
                    : std::clamp<std::int64_t>(at, -1, count - 1);
  };
  const std::int64_t begin = bound(from, step > 0 ? 0 : count - 1);
  const std::int64_t end = bound(to, step > 0 ? count : -1);
  std::vector<std::size_t> out;
  std::int64_t at = begin;
  while (step > 0 ? at < end : at > end) {
    budget.memory(sizeof(std::size_t));
    out.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, step, &at)) {
      break;
    }
  }
  return out;
}

}  // namespace

Value Evaluator::eval(const Expr& node) {
  const Budget::Level level(budget_);
  budget_.work();
  switch (node.kind) {
    case ExprKind::kLiteral:
      return node.literal;
    case ExprKind::kName:
      return eval_name(node);
    case ExprKind::kList: {
      List list;
      for (const ExprPtr& kid : node.kids) {
        list.push_back(eval(*kid));
      }
      return make_list(budget_, std::move(list));
    }
    case ExprKind::kDict: {
      Dict dict;
      for (std::size_t i = 0; i + 1 < node.kids.size(); i += 2) {
        Value key = eval(*node.kids[i]);
        put(budget_, dict, std::move(key), eval(*node.kids[i + 1]));
      }
      return make_dict(budget_, std::move(dict));
    }
    case ExprKind::kMember:
    case ExprKind::kIndex:
      return eval_member(node);
    case ExprKind::kSlice:
      return eval_slice(node);
    case ExprKind::kCall:
      return eval_call(node);
    case ExprKind::kFilter: {
      const Value value = eval(*node.kids[0]);
      const Arguments arguments = arguments_of(node, 1);
      line_ = node.line;
      return apply_filter(budget_, node.name, value, arguments);
    }
    case ExprKind::kTest: {
      const Value value = eval(*node.kids[0]);
      return Value{apply_test(budget_, node.name, value, arguments_of(node, 1))};
    }
    case ExprKind::kUnary:
      return eval_unary(node);
    case ExprKind::kBinary:
      return eval_binary(node);
    case ExprKind::kCompare:
      return eval_compare(node);
    case ExprKind::kCondition:
      if (truth(eval(*node.kids[1]))) {
        return eval(*node.kids[0]);
      }
      return node.kids[2] ? eval(*node.kids[2]) : Value{};
  }
  return {};
}

Value Evaluator::eval_name(const Expr& node) {
  line_ = node.line;
  const Value* found = find(node.name);
  return found == nullptr ? Value{} : *found;
}

Value Evaluator::eval_member(const Expr& node) {
  const Value owner = eval(*node.kids[0]);
  line_ = node.line;
  if (owner.is_undefined()) {
    fault(describe(*node.kids[0]) + " is undefined");
  }
  if (node.kind == ExprKind::kMember) {
    const auto* loop = owner.get<const LoopState*>();
    return loop != nullptr ? loop_member(**loop, node.name) : member(budget_, owner, node.name);
  }
  const Value key = eval(*node.kids[1]);
  if (const auto* loop = owner.get<const LoopState*>(); loop != nullptr && key.text() != nullptr) {
    return loop_member(**loop, key.text()->bytes);
  }
  return element(budget_, owner, key);
}

Value Evaluator::loop_member(const LoopState& loop, std::string_view name) {
  const auto index = static_cast<std::int64_t>(loop.index);
  const auto count = static_cast<std::int64_t>(loop.items.size());
  if (name == "index" || name == "index0") {
    return Value{name == "index" ? index + 1 : index};
  }
  if (name == "revindex" || name == "revindex0") {
    return Value{name == "revindex" ? count - index : count - index - 1};
  }
  if (name == "first" || name == "last") {
    return Value{name == "first" ? index == 0 : index + 1 == count};
  }
  if (name == "length") {
    return Value{count};
  }
  if (name == "previtem") {
    return index > 0 ? loop.items[loop.index - 1] : Value{};
  }
  if (name == "nextitem") {
    return index + 1 < count ? loop.items[loop.index + 1] : Value{};
  }
  if (name == "depth" || name == "depth0") {
    return Value{static_cast<std::int64_t>(name == "depth" ? loop.depth : loop.depth - 1)};
  }
  return {};
}

Value Evaluator::eval_slice(const Expr& node) {
  const Value owner = eval(*node.kids[0]);
  const auto part = [&](std::size_t i) { return node.kids[i] ? eval(*node.kids[i]) : Value{}; };
  const Value from = part(1);
  const Value to = part(2);
  const Value by = part(3);
  line_ = node.line;
  if (owner.text() == nullptr && owner.list() == nullptr) {
    fault("a " + std::string{kind_name(owner)} + " cannot be sliced");
  }
  const auto* step = by.get<std::int64_t>();
  if (const ChatText* text = owner.text(); text != nullptr && (step == nullptr || *step == 1)) {
    const std::size_t count = count_points(text->bytes);
    const std::vector<std::size_t> at = slice_indexes(budget_, count, from, to, by);
    if (at.empty()) {
      return make_text(budget_, ChatText{});
    }
    const std::size_t begin = byte_of_point(text->bytes, at.front());
    const std::string_view rest = std::string_view{text->bytes}.substr(begin);
    const std::size_t end = begin + byte_of_point(rest, at.size());
    return make_text(budget_, text->part(begin, end));
  }
  const List list = elements(budget_, owner);
  List out;
  for (const std::size_t at : slice_indexes(budget_, list.size(), from, to, by)) {
    out.push_back(list[at]);
  }
  return owner.text() != nullptr ? make_text(budget_, join(budget_, out, {}))
                                 : make_list(budget_, std::move(out));
}

Arguments Evaluator::arguments_of(const Expr& node, std::size_t first) {
  Arguments out;
  for (std::size_t i = first; i < node.kids.size(); ++i) {
    out.values.push_back(eval(*node.kids[i]));
  }
  for (const auto& [name, value] : node.named) {
    out.named.emplace_back(name, eval(*value));
  }
  return out;
}

Value Evaluator::eval_call(const Expr& node) {
  const Expr& callee = *node.kids[0];
  if (callee.kind == ExprKind::kMember) {
    const Value owner = eval(*callee.kids[0]);
    line_ = node.line;
    if (owner.is_undefined()) {
      fault(describe(*callee.kids[0]) + " is undefined");
    }
    const Value held = owner.space() != nullptr ? member(budget_, owner, callee.name) : Value{};
    const Arguments arguments = arguments_of(node, 1);
    if (const auto* macro = held.get<const Macro*>()) {
      return call_macro(**macro, arguments);
    }
    const auto* loop = owner.get<const LoopState*>();
    if (loop != nullptr && callee.name == "cycle" && !arguments.values.empty()) {
      return arguments.values[(*loop)->index % arguments.values.size()];
    }
    line_ = node.line;
    return call_method(budget_, callee.name, owner, arguments);
  }
  const Value function = eval(callee);
  const Arguments arguments = arguments_of(node, 1);
  line_ = node.line;
  if (const auto* macro = function.get<const Macro*>()) {
    return call_macro(**macro, arguments);
  }
  if (const auto* builtin = function.get<Builtin>()) {
    return call_builtin(budget_, *builtin, arguments, now_);
  }
  fault(describe(callee) + " is no function");
}

Value Evaluator::eval_unary(const Expr& node) {
  Value value = eval(*node.kids[0]);
  if (node.name == "not") {
    return Value{!truth(value)};
  }
  if (node.name == "+") {
    return value;
  }
  return arithmetic("-", Value{std::int64_t{0}}, value);
}

Value Evaluator::eval_binary(const Expr& node) {
  Value left = eval(*node.kids[0]);
  if (node.name == "and") {
    return truth(left) ? eval(*node.kids[1]) : left;
  }
  if (node.name == "or") {
    return truth(left) ? left : eval(*node.kids[1]);
  }
  const Value right = eval(*node.kids[1]);
  line_ = node.line;
  if (node.name == "~") {
    ChatText joined = to_text(budget_, left);
    joined.append(to_text(budget_, right));
    return make_text(budget_, std::move(joined));
  }
  if (left.is_undefined() || right.is_undefined()) {
    fault(describe(*node.kids[left.is_undefined() ? 0 : 1]) + " is undefined");
  }
  return arithmetic(node.name, left, right);
}

Value Evaluator::add(const Value& left, const Value& right) {
  if (left.text() != nullptr && right.text() != nullptr) {
    budget_.memory(left.text()->bytes.size());
    ChatText joined = *left.text();
    joined.append(*right.text());
    return make_text(budget_, std::move(joined));
  }
  if (left.list() != nullptr && right.list() != nullptr) {
    List joined = *left.list();
    joined.insert(joined.end(), right.list()->begin(), right.list()->end());
    return make_list(budget_, std::move(joined));
  }
  no_arithmetic("+", left, right);
}

Value Evaluator::multiply(const Value& left, const Value& right) {
  if (left.text() != nullptr && is_whole(right)) {
    return make_text(budget_, repeat(budget_, *left.text(), whole_number(right, "\"*\"")));
  }
  if (left.list() != nullptr && is_whole(right)) {
    List out;
    for (std::int64_t i = 0; i < whole_number(right, "\"*\"") && !left.list()->empty(); ++i) {
      budget_.memory(left.list()->size() * sizeof(Value));
      out.insert(out.end(), left.list()->begin(), left.list()->end());
    }
    return make_list(budget_, std::move(out));
  }
  no_arithmetic("*", left, right);
}

Value Evaluator::arithmetic(std::string_view op, const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    return is_whole(left) && is_whole(right)
               ? whole_arithmetic(op, whole_number(left, op), whole_number(right, op))
               : fraction_arithmetic(op, as_fraction(left), as_fraction(right));
  }
  if (op == "+") {
    return add(left, right);
  }
  if (op == "*") {
    return left.is_number() ? multiply(right, left) : multiply(left, right);
  }
  no_arithmetic(op, left, right);
}

Value Evaluator::eval_compare(const Expr& node) {
  Value left = eval(*node.kids[0]);
  for (std::size_t i = 0; i < node.ops.size(); ++i) {
    Value right = eval(*node.kids[i + 1]);
    line_ = node.line;
    const std::string& op = node.ops[i];
    bool holds = false;
    if (op == "==" || op == "!=") {
      holds = same(budget_, left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = contains(budget_, right, left) == (op == "in");
    } else {
      const int found = order(budget_, left, right);
      holds =
          op == "<" ? found < 0 : (op == ">" ? found > 0 : (op == "<=" ? found <= 0 : found >= 0));
    }
    if (!holds) {
      return Value{false};
    }
    left = std::move(right);
  }
  return Value{true};
}

}  // namespace skerry::runtime::jinja
