#pragma once

// Filters, tests, methods and functions of the chat template language.

#include <string_view>
#include <utility>
#include <vector>

#include "value.hpp"

namespace skerry::runtime::jinja {

struct Arguments {
  List values;
  std::vector<std::pair<std::string_view, Value>> named;

  // The argument at `index` or of that name; undefined if it was not given.
  [[nodiscard]] Value get(std::size_t index, std::string_view name) const;
  // Those after the first `count`.
  [[nodiscard]] Arguments after(std::size_t count) const;
};

// A fault if there is no filter of that name, or its arguments are wrong.
Value apply_filter(Budget& budget,
                   std::string_view name,
                   const Value& value,
                   const Arguments& arguments);
bool apply_test(Budget& budget,
                std::string_view name,
                const Value& value,
                const Arguments& arguments);
Value call_method(Budget& budget,
                  std::string_view name,
                  const Value& self,
                  const Arguments& arguments);
// `now`: seconds since the epoch.
Value call_builtin(Budget& budget, Builtin builtin, const Arguments& arguments, std::int64_t now);

// The member or element, or undefined.
Value member(Budget& budget, const Value& value, std::string_view name);
Value element(Budget& budget, const Value& value, const Value& key);
bool contains(Budget& budget, const Value& container, const Value& value);
std::int64_t whole_number(const Value& value, std::string_view what);
const ChatText& text_of(const Value& value, std::string_view what);

}  // namespace skerry::runtime::jinja
