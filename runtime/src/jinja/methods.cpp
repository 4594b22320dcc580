// Methods of texts, dictionaries and lists, by Python's names.

#include <algorithm>
#include <optional>

#include "calls.hpp"
#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

Value strip_method(Budget& budget,
                   std::string_view name,
                   const ChatText& self,
                   const Arguments& a) {
  const Value chars = a.get(0, "chars");
  std::optional<std::string_view> gone;
  if (!chars.is_undefined() && !chars.is_none()) {
    gone = text_of(chars, "the characters to strip").bytes;
  }
  return make_text(budget, strip(self, name[0] != 'r', name[0] != 'l', gone));
}

bool at_either(const ChatText& self, const Value& affix, bool begin) {
  const std::string_view bytes = self.bytes;
  const auto fits = [&](const Value& one) {
    const std::string& text = text_of(one, "an affix").bytes;
    return bytes.size() >= text.size() &&
           (begin ? bytes.substr(0, text.size()) : bytes.substr(bytes.size() - text.size())) ==
               text;
  };
  if (const List* list = affix.list()) {
    return std::any_of(list->begin(), list->end(), fits);
  }
  return fits(affix);
}

Value split_method(Budget& budget,
                   std::string_view name,
                   const ChatText& self,
                   const Arguments& a) {
  const Value separator = a.get(0, "sep");
  const Value most = a.get(1, "maxsplit");
  const bool spaces = separator.is_undefined() || separator.is_none();
  std::optional<std::string_view> by;
  if (!spaces) {
    by = text_of(separator, "a separator").bytes;
  }
  const std::int64_t count = most.is_undefined() ? -1 : whole_number(most, "maxsplit");
  return make_list(budget, split(budget, self, by, count, name == "rsplit"));
}

Value find_method(Budget& budget, std::string_view name, const ChatText& self, const Arguments& a) {
  const std::string& what = text_of(a.get(0, "sub"), "the text to find").bytes;
  const bool back = name[0] == 'r';
  budget.work(back ? what.size() / 64 * (self.bytes.size() / 64) : 0);
  const std::size_t at = back ? self.bytes.rfind(what) : find_text(self.bytes, what);
  if (at == std::string::npos) {
    if (name == "index" || name == "rindex") {
      fault("the text to find is not there");
    }
    return Value{std::int64_t{-1}};
  }
  return Value{static_cast<std::int64_t>(count_points(std::string_view{self.bytes}.substr(0, at)))};
}

Value count_method(Budget& budget, const ChatText& self, const Arguments& a) {
  const std::string& what = text_of(a.get(0, "sub"), "the text to count").bytes;
  if (what.empty()) {
    return Value{static_cast<std::int64_t>(count_points(self.bytes) + 1)};
  }
  return Value{static_cast<std::int64_t>(split(budget, self, what, -1).size() - 1)};
}

Value lines_of(Budget& budget, const ChatText& self, bool keep) {
  List lines;
  for (std::size_t at = 0; at < self.bytes.size();) {
    std::size_t end = self.bytes.find_first_of("\r\n", at);
    std::size_t next = self.bytes.size();
    if (end == std::string::npos) {
      end = next;
    } else {
      next = end + (self.bytes.compare(end, 2, "\r\n") == 0 ? 2 : 1);
    }
    lines.push_back(make_text(budget, self.part(at, keep ? next : end)));
    at = next;
  }
  return make_list(budget, std::move(lines));
}

bool all_of_class(const std::string& bytes, int (*fits)(int)) {
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [fits](char c) {
    return fits(static_cast<unsigned char>(c)) != 0;
  });
}

std::optional<Value> text_form(Budget& budget,
                               std::string_view name,
                               const ChatText& self,
                               const Arguments& a) {
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    return strip_method(budget, name, self, a);
  }
  if (name == "upper") {
    return make_text(budget, upper(self));
  }
  if (name == "lower") {
    return make_text(budget, lower(self));
  }
  if (name == "capitalize") {
    return make_text(budget, capitalize(self));
  }
  if (name == "title") {
    return make_text(budget, title(self));
  }
  if (name == "replace") {
    const Value most = a.get(2, "count");
    return make_text(budget,
                     replace(budget,
                             self,
                             text_of(a.get(0, "old"), "the text to replace"),
                             text_of(a.get(1, "new"), "the text to put there"),
                             most.is_undefined() ? -1 : whole_number(most, "count")));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const Value affix = a.get(0, "affix");
    const bool begin = name == "removeprefix";
    const std::size_t size = text_of(affix, "an affix").bytes.size();
    if (!at_either(self, affix, begin)) {
      return make_text(budget, self);
    }
    const std::size_t all = self.bytes.size();
    return make_text(budget, begin ? self.part(size, all) : self.part(0, all - size));
  }
  if (name == "join") {
    return make_text(budget, join(budget, elements(budget, a.get(0, "iterable")), self));
  }
  return std::nullopt;
}

// "{}", "{0}" and "{name}", without what may follow a colon.
Value format_method(Budget& budget, const ChatText& self, const Arguments& a) {
  ChatText out;
  std::size_t used = 0;
  for (std::size_t at = 0; at < self.bytes.size();) {
    const std::size_t mark = std::min(self.bytes.find_first_of("{}", at), self.bytes.size());
    out.append(self.part(at, mark));
    if (mark == self.bytes.size()) {
      break;
    }
    if (mark + 1 < self.bytes.size() && self.bytes[mark + 1] == self.bytes[mark]) {
      out.append(self.part(mark, mark + 1));
      at = mark + 2;
      continue;
    }
    const std::size_t end = self.bytes.find('}', mark);
    if (self.bytes[mark] == '}' || end == std::string::npos) {
      fault("format has a brace without its other half");
    }
    const std::string name = self.bytes.substr(mark + 1, end - mark - 1);
    if (name.find_first_of(":!.[") != std::string::npos) {
      fault("format takes plain names and places only");
    }
    const bool place = name.size() < 4 && name.find_first_not_of("0123456789") == std::string::npos;
    const Value value = name.empty() ? a.get(used++, "")
                        : place      ? a.get(std::stoul(name), "")
                                     : a.get(99, name);
    if (value.is_undefined()) {
      fault("format has nothing to put for {" + name.substr(0, 40) + "}");
    }
    out.append(to_text(budget, value));
    at = end + 1;
  }
  return make_text(budget, std::move(out));
}

Value text_method(Budget& budget, std::string_view name, const ChatText& self, const Arguments& a) {
  budget.work(1 + self.bytes.size() / 16);
  if (std::optional<Value> formed = text_form(budget, name, self, a)) {
    return *std::move(formed);
  }
  if (name == "split" || name == "rsplit") {
    return split_method(budget, name, self, a);
  }
  if (name == "startswith" || name == "endswith") {
    return Value{at_either(self, a.get(0, "affix"), name == "startswith")};
  }
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex") {
    return find_method(budget, name, self, a);
  }
  if (name == "count") {
    return count_method(budget, self, a);
  }
  if (name == "format") {
    return format_method(budget, self, a);
  }
  if (name == "splitlines") {
    return lines_of(budget, self, truth(a.get(0, "keepends")));
  }
  if (name == "isdigit" || name == "isnumeric" || name == "isdecimal") {
    return Value{all_of_class(self.bytes, [](int c) { return c >= '0' && c <= '9' ? 1 : 0; })};
  }
  if (name == "isspace") {
    return Value{
        all_of_class(self.bytes, [](int c) { return c == ' ' || (c >= 9 && c <= 13) ? 1 : 0; })};
  }
  fault("texts have no method \"" + std::string{name} + "\"");
}

Value dict_method(Budget& budget, std::string_view name, const Dict& self, const Arguments& a) {
  budget.work(1 + self.items.size() / 8);
  if (name == "get") {
    const Value key = a.get(0, "key");
    for (const auto& [one, value] : self.items) {
      if (same(budget, one, key)) {
        return value;
      }
    }
    const Value otherwise = a.get(1, "default");
    return otherwise.is_undefined() ? Value{None{}} : otherwise;
  }
  List out;
  for (const auto& [key, value] : self.items) {
    if (name == "items") {
      out.push_back(make_list(budget, {key, value}));
    } else if (name == "keys" || name == "values") {
      out.push_back(name == "keys" ? key : value);
    } else {
      break;
    }
  }
  if (name != "items" && name != "keys" && name != "values") {
    fault("dictionaries have no method \"" + std::string{name} + "\"");
  }
  return make_list(budget, std::move(out));
}

Value list_method(Budget& budget, std::string_view name, const List& self, const Arguments& a) {
  const Value what = a.get(0, "value");
  std::int64_t count = 0;
  for (std::size_t i = 0; i < self.size(); ++i) {
    if (same(budget, self[i], what)) {
      if (name == "index") {
        return Value{static_cast<std::int64_t>(i)};
      }
      ++count;
    }
  }
  if (name == "count") {
    return Value{count};
  }
  if (name == "index") {
    fault("the value is not in the list");
  }
  fault("lists have no method \"" + std::string{name} + "\" that leaves them as they are");
}

}  // namespace

Value call_method(Budget& budget,
                  std::string_view name,
                  const Value& self,
                  const Arguments& arguments) {
  if (const ChatText* text = self.text()) {
    return text_method(budget, name, *text, arguments);
  }
  if (const Dict* dict = self.dict()) {
    return dict_method(budget, name, *dict, arguments);
  }
  if (const List* list = self.list()) {
    return list_method(budget, name, *list, arguments);
  }
  fault("a " + std::string{kind_name(self)} + " has no method \"" + std::string{name} + "\"");
}

}  // namespace skerry::runtime::jinja
