#include "value.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

constexpr std::size_t kBytesPerWork = 16;

void check_holdable(const Value& value) {
  if (value.space() != nullptr || value.get<const LoopState*>() != nullptr) {
    fault("a namespace or a loop cannot be kept in another value");
  }
}

double as_double(const Value& value) {
  if (const bool* flag = value.get<bool>()) {
    return *flag ? 1 : 0;
  }
  if (const auto* whole = value.get<std::int64_t>()) {
    return static_cast<double>(*whole);
  }
  return *value.get<double>();
}

void append_quoted(const ChatText& text, ChatText& out) {
  const std::string& bytes = text.bytes;
  const bool twice = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = twice ? '"' : '\'';
  std::string written(1, quote);
  for (const char c : bytes) {
    if (c == quote || c == '\\') {
      written += '\\';
      written += c;
    } else if (c == '\n') {
      written += "\\n";
    } else if (c == '\t') {
      written += "\\t";
    } else if (c == '\r') {
      written += "\\r";
    } else {
      written += c;
    }
  }
  written += quote;
  if (text.given.empty()) {
    out.append(written);
  } else {
    out.append_given(written);
  }
}

int order_numbers(double a, double b) {
  return a < b ? -1 : (a > b ? 1 : 0);
}

}  // namespace

void fault(std::string message) {
  throw Fault{std::move(message), false, false};
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (const ChatText* text = name.text(); text != nullptr && text->bytes == key) {
      return &value;
    }
  }
  return nullptr;
}

bool Value::is_number() const {
  return get<bool>() != nullptr || get<std::int64_t>() != nullptr || get<double>() != nullptr;
}

std::size_t Value::depth() const {
  if (const auto* list = get<std::shared_ptr<const Nested>>()) {
    return (*list)->depth;
  }
  if (const auto* dict = get<std::shared_ptr<const NestedDict>>()) {
    return (*dict)->depth;
  }
  return 0;
}

void Budget::work(std::size_t amount) {
  work_ += amount;
  if (work_ > limits_.work) {
    throw Fault{"more work than one prompt may take", false, true};
  }
}

void Budget::memory(std::size_t bytes) {
  memory_ += bytes;
  if (memory_ > limits_.memory) {
    throw Fault{"more memory than one prompt may take", false, true};
  }
  work(bytes / kBytesPerWork + 1);
}

Budget::Level::Level(Budget& budget) : budget_(budget) {
  if (budget.depth_ >= budget.limits_.depth) {
    throw Fault{"nested too deeply", false, true};
  }
  ++budget.depth_;
}

Value make_text(Budget& budget, ChatText text) {
  budget.memory(text.bytes.size() + text.given.size() * sizeof(ChatText::Span) + sizeof(ChatText));
  return Value{std::make_shared<const ChatText>(std::move(text))};
}

Value make_text(Budget& budget, std::string bytes) {
  return make_text(budget, ChatText{std::move(bytes), {}});
}

Value make_list(Budget& budget, List list) {
  budget.memory(list.size() * sizeof(Value) + sizeof(Nested));
  std::size_t depth = 0;
  for (const Value& value : list) {
    check_holdable(value);
    depth = std::max(depth, value.depth());
  }
  if (depth + 1 > budget.limits().value_depth) {
    throw Fault{"a value nested too deeply", false, true};
  }
  return Value{std::make_shared<const Nested>(Nested{std::move(list), depth + 1})};
}

Value make_dict(Budget& budget, Dict dict) {
  budget.memory(dict.items.size() * 2 * sizeof(Value) + sizeof(NestedDict));
  std::size_t depth = 0;
  for (const auto& [key, value] : dict.items) {
    check_holdable(value);
    depth = std::max(depth, value.depth());
  }
  if (depth + 1 > budget.limits().value_depth) {
    throw Fault{"a value nested too deeply", false, true};
  }
  return Value{std::make_shared<const NestedDict>(NestedDict{std::move(dict), depth + 1})};
}

void put(Budget& budget, Dict& dict, Value key, Value value) {
  if (key.list() != nullptr || key.dict() != nullptr || key.space() != nullptr) {
    fault("a " + std::string{kind_name(key)} + " cannot be the key of a dictionary");
  }
  budget.work(1 + dict.items.size() / 8);
  for (auto& [name, old] : dict.items) {
    if (same(budget, name, key)) {
      old = std::move(value);
      return;
    }
  }
  dict.items.emplace_back(std::move(key), std::move(value));
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) {
    return false;
  }
  if (value.is_number()) {
    return as_double(value) != 0;
  }
  if (const ChatText* text = value.text()) {
    return !text->bytes.empty();
  }
  if (const List* list = value.list()) {
    return !list->empty();
  }
  if (const Dict* dict = value.dict()) {
    return !dict->items.empty();
  }
  return true;
}

bool same(Budget& budget, const Value& a, const Value& b) {
  const Budget::Level level(budget);
  budget.work();
  if (a.is_number() && b.is_number()) {
    const auto* left = a.get<std::int64_t>();
    const auto* right = b.get<std::int64_t>();
    return left != nullptr && right != nullptr ? *left == *right : as_double(a) == as_double(b);
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    budget.work(a.text()->bytes.size() / kBytesPerWork);
    return a.text()->bytes == b.text()->bytes;
  }
  if (const List* x = a.list(), *y = b.list(); x != nullptr && y != nullptr) {
    return x == y ||
           (x->size() == y->size() &&
            std::equal(x->begin(), x->end(), y->begin(), [&](const auto& p, const auto& q) {
              return same(budget, p, q);
            }));
  }
  if (const Dict* x = a.dict(), *y = b.dict(); x != nullptr && y != nullptr) {
    if (x == y || x->items.size() != y->items.size()) {
      return x == y;
    }
    return std::all_of(x->items.begin(), x->items.end(), [&](const auto& item) {
      return std::any_of(y->items.begin(), y->items.end(), [&](const auto& other) {
        return same(budget, item.first, other.first) && same(budget, item.second, other.second);
      });
    });
  }
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int order(Budget& budget, const Value& a, const Value& b) {
  const Budget::Level level(budget);
  budget.work();
  if (a.is_number() && b.is_number()) {
    return order_numbers(as_double(a), as_double(b));
  }
  if (a.text() != nullptr && b.text() != nullptr) {
    budget.work(a.text()->bytes.size() / kBytesPerWork);
    const int compared = a.text()->bytes.compare(b.text()->bytes);
    return compared < 0 ? -1 : (compared > 0 ? 1 : 0);
  }
  if (const List* x = a.list(), *y = b.list(); x != nullptr && y != nullptr) {
    for (std::size_t i = 0; i < std::min(x->size(), y->size()); ++i) {
      if (!same(budget, (*x)[i], (*y)[i])) {
        return order(budget, (*x)[i], (*y)[i]);
      }
    }
    return order_numbers(static_cast<double>(x->size()), static_cast<double>(y->size()));
  }
  fault("a " + std::string{kind_name(a)} + " and a " + std::string{kind_name(b)} +
        " have no order");
}

std::string_view kind_name(const Value& value) {
  constexpr std::array<std::string_view, std::variant_size_v<Value::Any>> kNames{"undefined value",
                                                                                 "none",
                                                                                 "boolean",
                                                                                 "whole number",
                                                                                 "number",
                                                                                 "text",
                                                                                 "list",
                                                                                 "dictionary",
                                                                                 "namespace",
                                                                                 "macro",
                                                                                 "function",
                                                                                 "loop"};
  return kNames[value.any().index()];
}

std::string float_text(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-inf" : "inf";
  }
  std::array<char, 40> buffer{};
  const double size = std::fabs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(buffer.data(),
                                 buffer.data() + buffer.size(),
                                 value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific);
  std::string text(buffer.data(), end.ptr);
  if (plain && text.find('.') == std::string::npos) {
    text += ".0";
  }
  return text;
}

void append_repr(Budget& budget, const Value& value, ChatText& out) {
  const Budget::Level level(budget);
  budget.work();
  if (const ChatText* text = value.text()) {
    budget.memory(text->bytes.size());
    append_quoted(*text, out);
  } else if (const List* list = value.list()) {
    out.append("[");
    for (std::size_t i = 0; i < list->size(); ++i) {
      out.append(i == 0 ? "" : ", ");
      append_repr(budget, (*list)[i], out);
    }
    out.append("]");
  } else if (const Dict* dict = value.dict()) {
    out.append("{");
    for (std::size_t i = 0; i < dict->items.size(); ++i) {
      out.append(i == 0 ? "" : ", ");
      append_repr(budget, dict->items[i].first, out);
      out.append(": ");
      append_repr(budget, dict->items[i].second, out);
    }
    out.append("}");
  } else {
    out.append(to_text(budget, value));
  }
}

ChatText to_text(Budget& budget, const Value& value) {
  ChatText out;
  if (const ChatText* text = value.text()) {
    budget.memory(text->bytes.size());
    return *text;
  }
  if (value.list() != nullptr || value.dict() != nullptr) {
    append_repr(budget, value, out);
  } else if (value.is_none()) {
    out.bytes = "None";
  } else if (const bool* flag = value.get<bool>()) {
    out.bytes = *flag ? "True" : "False";
  } else if (const auto* whole = value.get<std::int64_t>()) {
    out.bytes = std::to_string(*whole);
  } else if (const double* number = value.get<double>()) {
    out.bytes = float_text(*number);
  } else if (!value.is_undefined()) {
    fault("a " + std::string{kind_name(value)} + " cannot be written as text");
  }
  return out;
}

List elements(Budget& budget, const Value& value) {
  List out;
  if (const List* list = value.list()) {
    budget.memory(list->size() * sizeof(Value));
    out = *list;
  } else if (const Dict* dict = value.dict()) {
    budget.memory(dict->items.size() * sizeof(Value));
    for (const auto& [key, item] : dict->items) {
      out.push_back(key);
    }
  } else if (const ChatText* text = value.text()) {
    for (std::size_t at = 0; at < text->bytes.size();) {
      const std::size_t next = next_point(text->bytes, at);
      out.push_back(make_text(budget, text->part(at, next)));
      at = next;
    }
  } else if (!value.is_undefined()) {
    fault("a " + std::string{kind_name(value)} + " has no elements to go over");
  }
  return out;
}

}  // namespace skerry::runtime::jinja
