#include <algorithm>
#include <array>
#include <charconv>

#include "value.hpp"

namespace skerry::runtime::jinja {
namespace {

constexpr std::size_t kMostJsonDepth = 60;

class JsonReader {
 public:
  JsonReader(Budget& budget, std::string_view text) : budget_(budget), text_(text) {}

  Value run() {
    Value out = value(0);
    blanks();
    if (at_ != text_.size()) {
      wrong();
    }
    return out;
  }

 private:
  [[noreturn]] void wrong() const {
    fault("JSON of the request is wrong at byte " + std::to_string(at_));
  }
  [[nodiscard]] char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void blanks() {
    while (here() == ' ' || here() == '\n' || here() == '\t' || here() == '\r') {
      ++at_;
    }
  }
  void expect(std::string_view what) {
    if (text_.substr(at_, what.size()) != what) {
      wrong();
    }
    at_ += what.size();
  }
  Value value(std::size_t depth) {
    budget_.work();
    if (depth > kMostJsonDepth) {
      wrong();
    }
    blanks();
    switch (here()) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"': {
        ChatText text;
        text.append_given(string());
        return make_text(budget_, std::move(text));
      }
      case 't':
        expect("true");
        return Value{true};
      case 'f':
        expect("false");
        return Value{false};
      case 'n':
        expect("null");
        return Value{None{}};
      default:
        return number();
    }
  }
  Value object(std::size_t depth) {
    Dict dict;
    ++at_;
    blanks();
    while (here() != '}') {
      blanks();
      if (here() != '"') {
        wrong();
      }
      ChatText name;
      name.append_given(string());
      blanks();
      expect(":");
      Value key = make_text(budget_, std::move(name));
      Value item = value(depth + 1);
      // A member that comes twice is kept twice, and found by the first.
      budget_.memory(2 * sizeof(Value));
      dict.items.emplace_back(std::move(key), std::move(item));
      blanks();
      if (here() != ',') {
        break;
      }
      ++at_;
    }
    expect("}");
    return make_dict(budget_, std::move(dict));
  }
  Value array(std::size_t depth) {
    List list;
    ++at_;
    blanks();
    while (here() != ']') {
      list.push_back(value(depth + 1));
      budget_.memory(sizeof(Value));
      blanks();
      if (here() != ',') {
        break;
      }
      ++at_;
    }
    expect("]");
    return make_list(budget_, std::move(list));
  }
  std::uint32_t hex() {
    std::uint32_t point = 0;
    if (at_ + 4 > text_.size()) {
      wrong();
    }
    const char* const begin = text_.data() + at_;
    const auto read = std::from_chars(begin, begin + 4, point, 16);
    if (read.ec != std::errc{} || read.ptr != begin + 4) {
      wrong();
    }
    at_ += 4;
    return point;
  }
  void escaped(std::string& out) {
    constexpr std::string_view kFrom = "\"\\/bfnrt";
    constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
    const char c = here();
    ++at_;
    if (const std::size_t found = kFrom.find(c); c != '\0' && found != std::string_view::npos) {
      out += kTo[found];
      return;
    }
    if (c != 'u') {
      wrong();
    }
    std::uint32_t point = hex();
    if (point >= 0xd800 && point < 0xdc00) {
      expect("\\u");
      const std::uint32_t low = hex();
      if (low < 0xdc00 || low > 0xdfff) {
        wrong();
      }
      point = 0x10000 + ((point - 0xd800) << 10U) + (low - 0xdc00);
    } else if (point >= 0xdc00 && point < 0xe000) {
      wrong();
    }
    const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
    if (point < 0x80) {
      byte(point);
      return;
    }
    if (point < 0x800) {
      byte(0xc0U | (point >> 6U));
    } else {
      if (point < 0x10000) {
        byte(0xe0U | (point >> 12U));
      } else {
        byte(0xf0U | (point >> 18U));
        byte(0x80U | ((point >> 12U) & 0x3fU));
      }
      byte(0x80U | ((point >> 6U) & 0x3fU));
    }
    byte(0x80U | (point & 0x3fU));
  }
  std::string string() {
    std::string out;
    ++at_;
    while (here() != '"') {
      if (at_ >= text_.size()) {
        wrong();
      }
      if (here() == '\\') {
        ++at_;
        escaped(out);
      } else {
        out += here();
        ++at_;
      }
    }
    ++at_;
    budget_.memory(out.size());
    return out;
  }
  Value number() {
    const std::size_t end = std::min(text_.find_first_not_of("+-0123456789.eE", at_), text_.size());
    const std::string_view digits = text_.substr(at_, end - at_);
    const char* const last = digits.data() + digits.size();
    std::int64_t whole = 0;
    auto read = std::from_chars(digits.data(), last, whole);
    if (!digits.empty() && read.ec == std::errc{} && read.ptr == last) {
      at_ = end;
      return Value{whole};
    }
    double fraction = 0;
    read = std::from_chars(digits.data(), last, fraction);
    if (digits.empty() || read.ec != std::errc{} || read.ptr != last) {
      wrong();
    }
    at_ = end;
    return Value{fraction};
  }

  Budget& budget_;
  std::string_view text_;
  std::size_t at_ = 0;
};

void append_escape(std::string& out, std::uint32_t unit) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) {
    out += kDigits[(unit >> static_cast<unsigned>(shift)) & 0xfU];
  }
}

std::uint32_t take_point(std::string_view bytes, std::size_t& at) {
  const auto first = static_cast<unsigned char>(bytes[at]);
  const std::size_t more = first >= 0xf0 ? 3 : (first >= 0xe0 ? 2 : (first >= 0xc0 ? 1 : 0));
  std::uint32_t point = more == 0 ? first : first & (0x3fU >> more);
  for (std::size_t i = 1; i <= more && at + i < bytes.size(); ++i) {
    point = (point << 6U) | (static_cast<unsigned char>(bytes[at + i]) & 0x3fU);
  }
  at = std::min(at + more, bytes.size() - 1);
  return point;
}

std::string quoted(std::string_view bytes, bool ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char c = bytes[at];
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\b') {
      out += "\\b";
    } else if (c == '\f') {
      out += "\\f";
    } else if (byte < 0x20) {
      append_escape(out, byte);
    } else if (byte >= 0x80 && ascii) {
      const std::uint32_t point = take_point(bytes, at);
      if (point >= 0x10000) {
        append_escape(out, 0xd800 + ((point - 0x10000) >> 10U));
        append_escape(out, 0xdc00 + ((point - 0x10000) & 0x3ffU));
      } else {
        append_escape(out, point);
      }
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void append_string(Budget& budget, const ChatText& text, bool ascii, ChatText& out) {
  const std::string written = quoted(text.bytes, ascii);
  budget.memory(written.size());
  if (text.given.empty()) {
    out.append(written);
  } else {
    out.append_given(written);
  }
}

// A template may make separators of any length.
void separate(Budget& budget, std::string_view separator, ChatText& out) {
  budget.memory(separator.size());
  out.append(separator);
}

void break_line(Budget& budget, const JsonStyle& style, ChatText& out, int level) {
  if (style.indent >= 0) {
    const auto width = static_cast<std::size_t>(style.indent) * static_cast<std::size_t>(level);
    budget.memory(width);
    out.append("\n" + std::string(width, ' '));
  }
}

// What stands before the next item of a list or dictionary, at the level of the item.
void begin_item(Budget& budget, const JsonStyle& style, bool first, ChatText& out, int level) {
  separate(budget, first ? std::string_view{} : style.item_separator, out);
  break_line(budget, style, out, level);
}

void append_list(
    Budget& budget, const List& list, const JsonStyle& style, ChatText& out, int level) {
  out.append("[");
  for (std::size_t i = 0; i < list.size(); ++i) {
    begin_item(budget, style, i == 0, out, level + 1);
    append_json(budget, list[i], style, out, level + 1);
  }
  if (!list.empty()) {
    break_line(budget, style, out, level);
  }
  out.append("]");
}

void append_dict(
    Budget& budget, const Dict& dict, const JsonStyle& style, ChatText& out, int level) {
  auto items = dict.items;
  if (style.sort_keys) {
    std::stable_sort(items.begin(), items.end(), [&](const auto& a, const auto& b) {
      return order(budget, a.first, b.first) < 0;
    });
  }
  out.append("{");
  for (std::size_t i = 0; i < items.size(); ++i) {
    begin_item(budget, style, i == 0, out, level + 1);
    const ChatText* key = items[i].first.text();
    append_string(
        budget, key != nullptr ? *key : to_text(budget, items[i].first), style.ascii, out);
    separate(budget, style.key_separator, out);
    append_json(budget, items[i].second, style, out, level + 1);
  }
  if (!items.empty()) {
    break_line(budget, style, out, level);
  }
  out.append("}");
}

}  // namespace

Value read_json(Budget& budget, std::string_view text) {
  return JsonReader{budget, text}.run();
}

void append_json(
    Budget& budget, const Value& value, const JsonStyle& style, ChatText& out, int level) {
  const Budget::Level deeper(budget);
  budget.memory(16);
  if (const ChatText* text = value.text()) {
    append_string(budget, *text, style.ascii, out);
  } else if (const List* list = value.list()) {
    append_list(budget, *list, style, out, level);
  } else if (const Dict* dict = value.dict()) {
    append_dict(budget, *dict, style, out, level);
  } else if (value.is_none()) {
    out.append("null");
  } else if (const bool* flag = value.get<bool>()) {
    out.append(*flag ? "true" : "false");
  } else if (value.is_number()) {
    out.append(to_text(budget, value));
  } else {
    fault("a " + std::string{kind_name(value)} + " cannot be written as JSON");
  }
}

}  // namespace skerry::runtime::jinja
