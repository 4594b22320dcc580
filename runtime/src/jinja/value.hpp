#pragma once

// Values of the chat template language, the budget that every one of them is charged to, and the
// fault that ends a run. Texts remember which of their bytes came with the request, so that what a
// caller wrote never becomes a control token (prompt_tokens.cpp). Values are immutable and hold
// each other without cycles; only a namespace changes, and nothing but a variable may hold one. ADR
// 0111.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "skerry/runtime/chat_template.hpp"

namespace skerry::runtime::jinja {

// Ends a run. `raised`: the template said so itself, by raise_exception.
struct Fault {
  std::string message;
  bool raised = false;
  bool limit = false;
};

[[noreturn]] void fault(std::string message);

struct Undefined {};
struct None {};
struct Macro;      // ast.hpp
struct LoopState;  // evaluator.hpp

enum class Builtin : std::uint8_t { kRange, kDict, kNamespace, kRaise, kTime };

class Value;
using List = std::vector<Value>;

struct Dict {
  // In the order in which they were written; keys differ.
  std::vector<std::pair<Value, Value>> items;
  [[nodiscard]] const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> items;
};

struct Nested {
  List list;
  std::size_t depth = 1;
};
struct NestedDict {
  Dict dict;
  std::size_t depth = 1;
};

class Value {
 public:
  using Any = std::variant<Undefined,
                           None,
                           bool,
                           std::int64_t,
                           double,
                           std::shared_ptr<const ChatText>,
                           std::shared_ptr<const Nested>,
                           std::shared_ptr<const NestedDict>,
                           std::shared_ptr<Namespace>,
                           const Macro*,
                           Builtin,
                           const LoopState*>;
  Value() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a value is one of these
  Value(Any any) : any_(std::move(any)) {}

  [[nodiscard]] const Any& any() const { return any_; }
  template <class T>
  [[nodiscard]] const T* get() const {
    return std::get_if<T>(&any_);
  }
  [[nodiscard]] bool is_undefined() const { return std::holds_alternative<Undefined>(any_); }
  [[nodiscard]] bool is_none() const { return std::holds_alternative<None>(any_); }
  [[nodiscard]] const ChatText* text() const {
    const auto* found = get<std::shared_ptr<const ChatText>>();
    return found == nullptr ? nullptr : found->get();
  }
  [[nodiscard]] const List* list() const {
    const auto* found = get<std::shared_ptr<const Nested>>();
    return found == nullptr ? nullptr : &(*found)->list;
  }
  [[nodiscard]] const Dict* dict() const {
    const auto* found = get<std::shared_ptr<const NestedDict>>();
    return found == nullptr ? nullptr : &(*found)->dict;
  }
  [[nodiscard]] Namespace* space() const {
    const auto* found = get<std::shared_ptr<Namespace>>();
    return found == nullptr ? nullptr : found->get();
  }
  [[nodiscard]] bool is_number() const;
  // Levels of lists and dictionaries in it.
  [[nodiscard]] std::size_t depth() const;

 private:
  Any any_;
};

// What one rendering may still spend. Work is counted for every node and for every 16 bytes made,
// so that no operation is free; memory is what was made altogether, not what is held.
class Budget {
 public:
  explicit Budget(const TemplateLimits& limits) : limits_(limits) {}
  void work(std::size_t amount = 1);
  void memory(std::size_t bytes);
  // Counts one level of nesting as long as it lives.
  class Level {
   public:
    explicit Level(Budget& budget);
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };
  [[nodiscard]] const TemplateLimits& limits() const { return limits_; }
  [[nodiscard]] std::size_t spent_work() const { return work_; }

 private:
  TemplateLimits limits_;
  std::size_t work_ = 0;
  std::size_t memory_ = 0;
  std::size_t depth_ = 0;
};

// Makers: each charges the budget.
Value make_text(Budget& budget, ChatText text);
Value make_text(Budget& budget, std::string bytes);
Value make_list(Budget& budget, List list);
Value make_dict(Budget& budget, Dict dict);
// Replaces the value of an equal key.
void put(Budget& budget, Dict& dict, Value key, Value value);

bool truth(const Value& value);
bool same(Budget& budget, const Value& a, const Value& b);
// -1, 0, 1; a fault for values without an order between them.
int order(Budget& budget, const Value& a, const Value& b);
std::string_view kind_name(const Value& value);
// As Python's str() and repr() write them.
ChatText to_text(Budget& budget, const Value& value);
void append_repr(Budget& budget, const Value& value, ChatText& out);
std::string float_text(double value);
// The elements that a loop goes over: a list's, a dictionary's keys, a text's characters.
List elements(Budget& budget, const Value& value);

// JSON text to a value, its members in their order; texts count as given by the caller. A fault
// names the byte.
Value read_json(Budget& budget, std::string_view text);
struct JsonStyle {
  int indent = -1;  // -1: one line
  bool sort_keys = false;
  bool ascii = false;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
void append_json(
    Budget& budget, const Value& value, const JsonStyle& style, ChatText& out, int level = 0);

}  // namespace skerry::runtime::jinja
