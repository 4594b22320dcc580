#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "calls.hpp"
#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

using Filter = Value (*)(Budget&, const Value&, const Arguments&);

// What Jinja's choosing filters go over: nothing, for what counts as false.
List chosen_from(Budget& budget, const Value& value) {
  return truth(value) ? elements(budget, value) : List{};
}

// "a.b" and numbers go down step by step, as Jinja's attribute= does.
Value by_path(Budget& budget, Value value, const Value& path) {
  if (path.get<std::int64_t>() != nullptr) {
    return element(budget, value, path);
  }
  for (const Value& step : split(budget, text_of(path, "attribute"), ".", -1)) {
    value = member(budget, value, step.text()->bytes);
  }
  return value;
}

Value filter_length(Budget& budget, const Value& value, const Arguments&) {
  std::size_t count = 0;
  if (const ChatText* text = value.text()) {
    budget.work(text->bytes.size() / 16);
    count = count_points(text->bytes);
  } else if (const List* list = value.list()) {
    count = list->size();
  } else if (const Dict* dict = value.dict()) {
    count = dict->items.size();
  } else if (!value.is_undefined()) {
    fault("a " + std::string{kind_name(value)} + " has no length");
  }
  return Value{static_cast<std::int64_t>(count)};
}

Value filter_default(Budget&, const Value& value, const Arguments& a) {
  const bool use = value.is_undefined() || (truth(a.get(1, "boolean")) && !truth(value));
  return use ? a.get(0, "default_value") : value;
}

Value filter_json(Budget& budget, const Value& value, const Arguments& a) {
  JsonStyle style;
  if (const Value indent = a.get(0, "indent"); !indent.is_undefined() && !indent.is_none()) {
    style.indent =
        static_cast<int>(std::clamp<std::int64_t>(whole_number(indent, "indent"), 0, 16));
    style.item_separator = ",";
  }
  style.sort_keys = truth(a.get(9, "sort_keys"));
  style.ascii = truth(a.get(9, "ensure_ascii"));
  const Value separators = a.get(9, "separators");
  if (const List* two = separators.list(); two != nullptr && two->size() == 2) {
    style.item_separator = text_of((*two)[0], "a separator").bytes;
    style.key_separator = text_of((*two)[1], "a separator").bytes;
  }
  ChatText out;
  append_json(budget, value, style, out);
  return make_text(budget, std::move(out));
}

Value filter_join(Budget& budget, const Value& value, const Arguments& a) {
  List list = elements(budget, value);
  if (const Value attribute = a.get(1, "attribute"); !attribute.is_undefined()) {
    for (Value& one : list) {
      one = by_path(budget, one, attribute);
    }
  }
  const Value separator = a.get(0, "d");
  return make_text(
      budget,
      join(budget, list, separator.is_undefined() ? ChatText{} : to_text(budget, separator)));
}

Value filter_map(Budget& budget, const Value& value, const Arguments& a) {
  List list = chosen_from(budget, value);
  const Value attribute = a.get(99, "attribute");
  for (Value& one : list) {
    if (!attribute.is_undefined()) {
      one = by_path(budget, one, attribute);
      if (one.is_undefined()) {
        one = a.get(99, "default");
      }
    } else {
      const Value name = a.get(0, "filter");
      one = apply_filter(budget, text_of(name, "a filter's name").bytes, one, a.after(1));
    }
  }
  return make_list(budget, std::move(list));
}

// select, reject, selectattr, rejectattr.
Value choose(Budget& budget, const Value& value, const Arguments& a, bool keep, bool by_attribute) {
  List out;
  const std::size_t skip = by_attribute ? 1 : 0;
  const Value name = a.get(skip, "test");
  const Arguments rest = a.after(skip + 1);
  for (const Value& one : chosen_from(budget, value)) {
    const Value seen = by_attribute ? by_path(budget, one, a.get(0, "attribute")) : one;
    const bool fits = name.is_undefined()
                          ? truth(seen)
                          : apply_test(budget, text_of(name, "a test's name").bytes, seen, rest);
    if (fits == keep) {
      out.push_back(one);
    }
  }
  return make_list(budget, std::move(out));
}

Value filter_items(Budget& budget, const Value& value, const Arguments&) {
  if (value.is_undefined()) {
    return make_list(budget, {});
  }
  return call_method(budget, "items", value, {});
}

// Pairs or values in order; texts without regard to case unless it is asked for.
Value key_of(Budget& budget, const Value& value, const Arguments& a) {
  const bool exact = truth(a.get(99, "case_sensitive"));
  const ChatText* text = value.text();
  return text != nullptr && !exact ? make_text(budget, lower(*text)) : value;
}

void sort_by(Budget& budget, std::vector<std::pair<Value, Value>>& keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& x, const auto& y) {
    return reverse ? order(budget, y.first, x.first) < 0 : order(budget, x.first, y.first) < 0;
  });
}

Value filter_dictsort(Budget& budget, const Value& value, const Arguments& a) {
  const Value by = a.get(1, "by");
  const bool values = by.text() != nullptr && by.text()->bytes == "value";
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& pair : elements(budget, filter_items(budget, value, {}))) {
    keyed.emplace_back(key_of(budget, (*pair.list())[values ? 1 : 0], a), pair);
  }
  sort_by(budget, keyed, truth(a.get(2, "reverse")));
  List out;
  for (auto& [key, pair] : keyed) {
    out.push_back(std::move(pair));
  }
  return make_list(budget, std::move(out));
}

Value filter_sort(Budget& budget, const Value& value, const Arguments& a) {
  const Value attribute = a.get(2, "attribute");
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& one : elements(budget, value)) {
    const Value key = attribute.is_undefined() ? one : by_path(budget, one, attribute);
    keyed.emplace_back(key_of(budget, key, a), one);
  }
  sort_by(budget, keyed, truth(a.get(0, "reverse")));
  List out;
  for (auto& [key, one] : keyed) {
    out.push_back(std::move(one));
  }
  return make_list(budget, std::move(out));
}

Value filter_unique(Budget& budget, const Value& value, const Arguments& a) {
  List out;
  List keys;
  for (const Value& one : elements(budget, value)) {
    Value key = key_of(budget, one, a);
    if (std::none_of(
            keys.begin(), keys.end(), [&](const Value& old) { return same(budget, old, key); })) {
      keys.push_back(std::move(key));
      out.push_back(one);
    }
  }
  return make_list(budget, std::move(out));
}

Value filter_reverse(Budget& budget, const Value& value, const Arguments&) {
  List list = elements(budget, value);
  std::reverse(list.begin(), list.end());
  return value.text() != nullptr ? make_text(budget, join(budget, list, {}))
                                 : make_list(budget, std::move(list));
}

double number_of(const Value& value) {
  if (const double* number = value.get<double>()) {
    return *number;
  }
  return static_cast<double>(whole_number(value, "a sum or comparison"));
}

Value filter_sum(Budget& budget, const Value& value, const Arguments& a) {
  const Value attribute = a.get(0, "attribute");
  std::int64_t whole = 0;
  double fraction = 0;
  bool fractions = false;
  for (const Value& one : elements(budget, value)) {
    const Value item = attribute.is_undefined() ? one : by_path(budget, one, attribute);
    fractions = fractions || item.get<double>() != nullptr;
    fraction += number_of(item);
    if (!fractions && __builtin_add_overflow(whole, whole_number(item, "sum"), &whole)) {
      fault("a sum is too large");
    }
  }
  return fractions ? Value{fraction} : Value{whole};
}

Value extreme(Budget& budget, const Value& value, int sign) {
  Value best;
  for (const Value& one : elements(budget, value)) {
    if (best.is_undefined() || order(budget, one, best) * sign > 0) {
      best = one;
    }
  }
  return best;
}

Value filter_int(Budget&, const Value& value, const Arguments& a) {
  const Value otherwise = a.get(0, "default");
  const Value fallback = otherwise.is_undefined() ? Value{std::int64_t{0}} : otherwise;
  if (const double* number = value.get<double>()) {
    return std::fabs(*number) < 9e18 ? Value{static_cast<std::int64_t>(*number)} : fallback;
  }
  if (const ChatText* text = value.text()) {
    const ChatText bare = strip(*text, true, true, std::nullopt);
    double number = 0;
    const char* const end = bare.bytes.data() + bare.bytes.size();
    const auto read = std::from_chars(bare.bytes.data(), end, number);
    return read.ec == std::errc{} && read.ptr == end && std::fabs(number) < 9e18
               ? Value{static_cast<std::int64_t>(number)}
               : fallback;
  }
  return value.is_number() ? Value{whole_number(value, "int")} : fallback;
}

Value filter_float(Budget&, const Value& value, const Arguments& a) {
  const Value otherwise = a.get(0, "default");
  if (const ChatText* text = value.text()) {
    double number = 0;
    const char* const end = text->bytes.data() + text->bytes.size();
    const auto read = std::from_chars(text->bytes.data(), end, number);
    if (read.ec == std::errc{} && read.ptr == end) {
      return Value{number};
    }
  } else if (value.is_number()) {
    return Value{number_of(value)};
  }
  return otherwise.is_undefined() ? Value{0.0} : otherwise;
}

Value filter_round(Budget&, const Value& value, const Arguments& a) {
  const Value digits = a.get(0, "precision");
  const std::int64_t precision =
      digits.is_undefined() ? 0 : std::clamp<std::int64_t>(whole_number(digits, "round"), 0, 15);
  const double scale = std::pow(10.0, static_cast<double>(precision));
  return Value{std::nearbyint(number_of(value) * scale) / scale};
}

Value filter_abs(Budget&, const Value& value, const Arguments&) {
  if (const double* number = value.get<double>()) {
    return Value{std::fabs(*number)};
  }
  const std::int64_t whole = whole_number(value, "abs");
  if (whole == INT64_MIN) {
    fault("a number is too large");
  }
  return Value{whole < 0 ? -whole : whole};
}

Value filter_indent(Budget& budget, const Value& value, const Arguments& a) {
  const Value width = a.get(0, "width");
  const std::int64_t columns =
      width.is_undefined() ? 4 : std::clamp<std::int64_t>(whole_number(width, "indent"), 0, 200);
  return make_text(budget,
                   indent(budget,
                          to_text(budget, value),
                          static_cast<std::size_t>(columns),
                          truth(a.get(1, "first")),
                          truth(a.get(2, "blank"))));
}

Value filter_escape(Budget& budget, const Value& value, const Arguments&) {
  ChatText text = to_text(budget, value);
  const auto put_for = [&](std::string from, std::string to) {
    text = replace(budget, text, {std::move(from), {}}, {std::move(to), {}}, -1);
  };
  put_for("&", "&amp;");
  put_for("<", "&lt;");
  put_for(">", "&gt;");
  put_for("'", "&#39;");
  put_for("\"", "&#34;");
  return make_text(budget, std::move(text));
}

Value filter_list(Budget& budget, const Value& value, const Arguments&) {
  return make_list(budget, elements(budget, value));
}
Value filter_first(Budget& budget, const Value& value, const Arguments&) {
  const List list = elements(budget, value);
  return list.empty() ? Value{} : list.front();
}
Value filter_last(Budget& budget, const Value& value, const Arguments&) {
  const List list = elements(budget, value);
  return list.empty() ? Value{} : list.back();
}
Value filter_string(Budget& budget, const Value& value, const Arguments&) {
  return make_text(budget, to_text(budget, value));
}
Value filter_same(Budget&, const Value& value, const Arguments&) {
  return value;
}

// Filters that are methods of texts, applied to any value as its text.
template <std::size_t kIndex>
Value filter_text(Budget& budget, const Value& value, const Arguments& a) {
  constexpr std::string_view kMethods[] = {
      "upper", "lower", "capitalize", "title", "replace", "strip"};
  const Value text = value.text() != nullptr ? value : make_text(budget, to_text(budget, value));
  return call_method(budget, kMethods[kIndex], text, a);
}

const std::map<std::string_view, Filter>& all_filters() {
  static const std::map<std::string_view, Filter> kFilters{
      {"abs", filter_abs},
      {"capitalize", filter_text<2>},
      {"count", filter_length},
      {"d", filter_default},
      {"default", filter_default},
      {"dictsort", filter_dictsort},
      {"e", filter_escape},
      {"escape", filter_escape},
      {"first", filter_first},
      {"float", filter_float},
      {"indent", filter_indent},
      {"int", filter_int},
      {"items", filter_items},
      {"join", filter_join},
      {"last", filter_last},
      {"length", filter_length},
      {"list", filter_list},
      {"lower", filter_text<1>},
      {"map", filter_map},
      {"max", [](Budget& b, const Value& v, const Arguments&) { return extreme(b, v, 1); }},
      {"min", [](Budget& b, const Value& v, const Arguments&) { return extreme(b, v, -1); }},
      {"reject",
       [](Budget& b, const Value& v, const Arguments& a) { return choose(b, v, a, false, false); }},
      {"rejectattr",
       [](Budget& b, const Value& v, const Arguments& a) { return choose(b, v, a, false, true); }},
      {"replace", filter_text<4>},
      {"reverse", filter_reverse},
      {"round", filter_round},
      {"safe", filter_same},
      {"select",
       [](Budget& b, const Value& v, const Arguments& a) { return choose(b, v, a, true, false); }},
      {"selectattr",
       [](Budget& b, const Value& v, const Arguments& a) { return choose(b, v, a, true, true); }},
      {"sort", filter_sort},
      {"string", filter_string},
      {"sum", filter_sum},
      {"title", filter_text<3>},
      {"tojson", filter_json},
      {"trim", filter_text<5>},
      {"unique", filter_unique},
      {"upper", filter_text<0>},
  };
  return kFilters;
}

}  // namespace

Value apply_filter(Budget& budget,
                   std::string_view name,
                   const Value& value,
                   const Arguments& arguments) {
  const Budget::Level level(budget);
  const auto found = all_filters().find(name);
  if (found == all_filters().end()) {
    fault("there is no filter \"" + std::string{name.substr(0, 40)} + "\"");
  }
  budget.work();
  return found->second(budget, value, arguments);
}

}  // namespace skerry::runtime::jinja
