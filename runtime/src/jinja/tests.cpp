// What may follow "is" in a template.

#include <algorithm>
#include <map>

#include "calls.hpp"

namespace skerry::runtime::jinja {
namespace {

using Test = bool (*)(Budget&, const Value&, const Arguments&);

template <int kLow, int kHigh>
bool test_order(Budget& budget, const Value& value, const Arguments& a) {
  const int found = order(budget, value, a.get(0, "other"));
  return found >= kLow && found <= kHigh;
}
bool test_equal(Budget& budget, const Value& value, const Arguments& a) {
  return same(budget, value, a.get(0, "other"));
}
bool test_unequal(Budget& budget, const Value& value, const Arguments& a) {
  return !same(budget, value, a.get(0, "other"));
}
bool test_sequence(Budget&, const Value& value, const Arguments&) {
  return value.text() != nullptr || value.list() != nullptr || value.dict() != nullptr;
}
bool is_case(const Value& value, char first, char last) {
  const ChatText* text = value.text();
  // Python: no letter of the other case, and one at least of this.
  bool any = false;
  for (const char c : text == nullptr ? std::string{} : text->bytes) {
    const char folded = static_cast<char>(static_cast<unsigned char>(c) ^ 0x20U);
    if (folded >= first && folded <= last) {
      return false;
    }
    any = any || (c >= first && c <= last);
  }
  return any;
}

const std::map<std::string_view, Test>& all_tests() {
  static const std::map<std::string_view, Test> kTests{
      {"!=", test_unequal},
      {"<", test_order<-1, -1>},
      {"<=", test_order<-1, 0>},
      {"==", test_equal},
      {">", test_order<1, 1>},
      {">=", test_order<0, 1>},
      {"boolean",
       [](Budget&, const Value& v, const Arguments&) { return v.get<bool>() != nullptr; }},
      {"callable",
       [](Budget&, const Value& v, const Arguments&) {
         return v.get<const Macro*>() != nullptr || v.get<Builtin>() != nullptr;
       }},
      {"defined", [](Budget&, const Value& v, const Arguments&) { return !v.is_undefined(); }},
      {"divisibleby",
       [](Budget&, const Value& v, const Arguments& a) {
         const std::int64_t by = whole_number(a.get(0, "num"), "divisibleby");
         return by != 0 && by != -1 && whole_number(v, "divisibleby") % by == 0;
       }},
      {"eq", test_equal},
      {"equalto", test_equal},
      {"even",
       [](Budget&, const Value& v, const Arguments&) { return whole_number(v, "even") % 2 == 0; }},
      {"false",
       [](Budget&, const Value& v, const Arguments&) {
         return v.get<bool>() != nullptr && !*v.get<bool>();
       }},
      {"float",
       [](Budget&, const Value& v, const Arguments&) { return v.get<double>() != nullptr; }},
      {"ge", test_order<0, 1>},
      {"gt", test_order<1, 1>},
      {"greaterthan", test_order<1, 1>},
      {"in",
       [](Budget& b, const Value& v, const Arguments& a) {
         return contains(b, a.get(0, "seq"), v);
       }},
      {"integer",
       [](Budget&, const Value& v, const Arguments&) { return v.get<std::int64_t>() != nullptr; }},
      {"iterable", test_sequence},
      {"le", test_order<-1, 0>},
      {"lessthan", test_order<-1, -1>},
      {"lower", [](Budget&, const Value& v, const Arguments&) { return is_case(v, 'a', 'z'); }},
      {"lt", test_order<-1, -1>},
      {"mapping", [](Budget&, const Value& v, const Arguments&) { return v.dict() != nullptr; }},
      {"ne", test_unequal},
      {"none", [](Budget&, const Value& v, const Arguments&) { return v.is_none(); }},
      {"number", [](Budget&, const Value& v, const Arguments&) { return v.is_number(); }},
      {"odd",
       [](Budget&, const Value& v, const Arguments&) { return whole_number(v, "odd") % 2 != 0; }},
      {"sameas", test_equal},
      {"sequence", test_sequence},
      {"string", [](Budget&, const Value& v, const Arguments&) { return v.text() != nullptr; }},
      {"true",
       [](Budget&, const Value& v, const Arguments&) {
         return v.get<bool>() != nullptr && *v.get<bool>();
       }},
      {"undefined", [](Budget&, const Value& v, const Arguments&) { return v.is_undefined(); }},
      {"upper", [](Budget&, const Value& v, const Arguments&) { return is_case(v, 'A', 'Z'); }},
  };
  return kTests;
}

}  // namespace

bool apply_test(Budget& budget,
                std::string_view name,
                const Value& value,
                const Arguments& arguments) {
  const auto found = all_tests().find(name);
  if (found == all_tests().end()) {
    fault("there is no test \"" + std::string{name.substr(0, 40)} + "\"");
  }
  budget.work();
  return found->second(budget, value, arguments);
}

}  // namespace skerry::runtime::jinja
