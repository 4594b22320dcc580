#include "calls.hpp"

#include <algorithm>
#include <array>
#include <chrono>

#include "texts.hpp"

namespace skerry::runtime::jinja {
namespace {

constexpr std::size_t kMostTimeFormat = 128;
constexpr std::int64_t kLastTime = 253'402'300'799;

Value range(Budget& budget, const Arguments& a) {
  std::int64_t start = 0;
  std::int64_t stop = whole_number(a.get(0, "stop"), "range");
  std::int64_t step = 1;
  if (a.values.size() > 1) {
    start = stop;
    stop = whole_number(a.values[1], "range");
  }
  if (a.values.size() > 2) {
    step = whole_number(a.values[2], "range");
  }
  if (step == 0) {
    fault("range takes a step that is not 0");
  }
  List out;
  std::int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    budget.memory(sizeof(Value));
    out.emplace_back(Value{at});
    if (__builtin_add_overflow(at, step, &at)) {
      break;
    }
  }
  return make_list(budget, std::move(out));
}

Value dict_of(Budget& budget, const Arguments& a) {
  Dict dict;
  if (!a.values.empty()) {
    if (const Dict* given = a.values[0].dict()) {
      dict = *given;
    } else {
      for (const Value& pair : elements(budget, a.values[0])) {
        const List* two = pair.list();
        if (two == nullptr || two->size() != 2) {
          fault("dict takes pairs");
        }
        put(budget, dict, (*two)[0], (*two)[1]);
      }
    }
  }
  for (const auto& [name, value] : a.named) {
    put(budget, dict, make_text(budget, std::string{name}), value);
  }
  return make_dict(budget, std::move(dict));
}

struct Civil {
  int year = 1970;
  unsigned month = 1;
  unsigned day = 1;
  unsigned weekday = 0;  // from Sunday
  unsigned day_of_year = 1;
  unsigned hour = 0;
  unsigned minute = 0;
  unsigned second = 0;
};

Civil civil_time(std::int64_t now) {
  using std::chrono::days;
  const std::chrono::sys_seconds time{std::chrono::seconds{now}};
  const std::chrono::sys_days day = std::chrono::floor<days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::sys_days first{date.year() / std::chrono::January / 1};
  const auto rest = static_cast<unsigned>((time - day).count());
  return {.year = static_cast<int>(date.year()),
          .month = static_cast<unsigned>(date.month()),
          .day = static_cast<unsigned>(date.day()),
          .weekday = std::chrono::weekday{day}.c_encoding(),
          .day_of_year = static_cast<unsigned>((day - first).count()) + 1,
          .hour = rest / 3600,
          .minute = rest / 60 % 60,
          .second = rest % 60};
}

std::string padded(unsigned value, std::size_t width, char pad = '0') {
  std::string digits = std::to_string(value);
  return std::string(width > digits.size() ? width - digits.size() : 0, pad) + digits;
}

// What strftime makes of "%<letter>" in the C locale. Not the C library's own: it may look for the
// time zone's file, which a worker must not open.
std::string time_part(const Civil& at, char letter) {
  constexpr std::array<std::string_view, 12> kMonths{"January",
                                                     "February",
                                                     "March",
                                                     "April",
                                                     "May",
                                                     "June",
                                                     "July",
                                                     "August",
                                                     "September",
                                                     "October",
                                                     "November",
                                                     "December"};
  constexpr std::array<std::string_view, 7> kDays{
      "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  const std::string_view month = kMonths[at.month - 1];
  const std::string_view day = kDays[at.weekday];
  switch (letter) {
    case 'Y':
      return std::to_string(at.year);
    case 'y':
      return padded(static_cast<unsigned>(at.year % 100), 2);
    case 'm':
      return padded(at.month, 2);
    case 'd':
      return padded(at.day, 2);
    case 'e':
      return padded(at.day, 2, ' ');
    case 'B':
      return std::string{month};
    case 'b':
    case 'h':
      return std::string{month.substr(0, 3)};
    case 'A':
      return std::string{day};
    case 'a':
      return std::string{day.substr(0, 3)};
    case 'j':
      return padded(at.day_of_year, 3);
    case 'w':
      return std::to_string(at.weekday);
    case 'H':
      return padded(at.hour, 2);
    case 'I':
      return padded((at.hour + 11) % 12 + 1, 2);
    case 'M':
      return padded(at.minute, 2);
    case 'S':
      return padded(at.second, 2);
    case 'p':
      return at.hour < 12 ? "AM" : "PM";
    case 'Z':
      return "UTC";
    case 'z':
      return "+0000";
    case '%':
      return "%";
    default:
      fault(std::string{"strftime_now has no %"} + letter);
  }
}

Value time_text(Budget& budget, const Arguments& a, std::int64_t now) {
  const std::string& format = text_of(a.get(0, "format"), "strftime_now").bytes;
  if (format.size() > kMostTimeFormat || now < 0 || now > kLastTime) {
    fault("strftime_now takes a format of at most 128 bytes, and a time until the year 9999");
  }
  const Civil at = civil_time(now);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    // "%-d": without padding.
    const bool bare = i + 1 < format.size() && format[i + 1] == '-';
    i += bare ? 2 : 1;
    const char letter = i < format.size() ? format[i] : '\0';
    if (letter == 'F') {
      out += time_part(at, 'Y') + "-" + time_part(at, 'm') + "-" + time_part(at, 'd');
    } else if (letter == 'T' || letter == 'X') {
      out += time_part(at, 'H') + ":" + time_part(at, 'M') + ":" + time_part(at, 'S');
    } else {
      const std::string part = time_part(at, letter);
      const std::size_t first = bare ? part.find_first_not_of("0 ") : 0;
      out += part.substr(first == std::string::npos ? part.size() - 1 : first);
    }
  }
  return make_text(budget, std::move(out));
}

}  // namespace

Value Arguments::get(std::size_t index, std::string_view name) const {
  if (index < values.size()) {
    return values[index];
  }
  for (const auto& [key, value] : named) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

Arguments Arguments::after(std::size_t count) const {
  Arguments out;
  if (count < values.size()) {
    out.values.assign(values.begin() + static_cast<std::ptrdiff_t>(count), values.end());
  }
  out.named = named;
  return out;
}

std::int64_t whole_number(const Value& value, std::string_view what) {
  if (const auto* whole = value.get<std::int64_t>()) {
    return *whole;
  }
  if (const bool* flag = value.get<bool>()) {
    return *flag ? 1 : 0;
  }
  fault(std::string{what} + " takes a whole number, not a " + std::string{kind_name(value)});
}

const ChatText& text_of(const Value& value, std::string_view what) {
  if (const ChatText* text = value.text()) {
    return *text;
  }
  fault(std::string{what} + " must be a text, not a " + std::string{kind_name(value)});
}

Value call_builtin(Budget& budget, Builtin builtin, const Arguments& arguments, std::int64_t now) {
  switch (builtin) {
    case Builtin::kRange:
      return range(budget, arguments);
    case Builtin::kDict:
      return dict_of(budget, arguments);
    case Builtin::kNamespace: {
      auto made = std::make_shared<Namespace>();
      const Value dict = dict_of(budget, arguments);
      for (const auto& [key, value] : dict.dict()->items) {
        made->items.emplace_back(text_of(key, "a member's name").bytes, value);
      }
      return Value{std::move(made)};
    }
    case Builtin::kRaise: {
      const Value said = arguments.get(0, "message");
      throw Fault{said.text() != nullptr ? said.text()->bytes : "the template refuses this chat",
                  true,
                  false};
    }
    case Builtin::kTime:
      return time_text(budget, arguments, now);
  }
  return {};
}

Value member(Budget& budget, const Value& value, std::string_view name) {
  if (const Dict* dict = value.dict()) {
    budget.work(dict->items.size() / 8);
    const Value* found = dict->find(name);
    return found == nullptr ? Value{} : *found;
  }
  if (const Namespace* space = value.space()) {
    budget.work(space->items.size() / 8);
    for (const auto& [key, item] : space->items) {
      if (key == name) {
        return item;
      }
    }
  }
  return {};
}

Value element(Budget& budget, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    budget.work(1 + dict->items.size() / 8);
    for (const auto& [one, item] : dict->items) {
      if (same(budget, one, key)) {
        return item;
      }
    }
    return {};
  }
  if (value.space() != nullptr && key.text() != nullptr) {
    return member(budget, value, key.text()->bytes);
  }
  const auto* given = key.get<std::int64_t>();
  if (given == nullptr) {
    return {};
  }
  std::int64_t index = *given;
  if (const List* list = value.list()) {
    index += index < 0 ? static_cast<std::int64_t>(list->size()) : 0;
    const bool there = index >= 0 && static_cast<std::size_t>(index) < list->size();
    return there ? (*list)[static_cast<std::size_t>(index)] : Value{};
  }
  if (const ChatText* text = value.text()) {
    budget.work(text->bytes.size() / 16);
    const auto count = static_cast<std::int64_t>(count_points(text->bytes));
    index += index < 0 ? count : 0;
    if (index < 0 || index >= count) {
      return {};
    }
    const std::size_t at = byte_of_point(text->bytes, static_cast<std::size_t>(index));
    return make_text(budget, text->part(at, next_point(text->bytes, at)));
  }
  return {};
}

bool contains(Budget& budget, const Value& container, const Value& value) {
  if (const ChatText* text = container.text()) {
    budget.work(text->bytes.size() / 16);
    return find_text(text->bytes, text_of(value, "what is looked for in a text").bytes) !=
           std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) {
    return std::any_of(dict->items.begin(), dict->items.end(), [&](const auto& item) {
      return same(budget, item.first, value);
    });
  }
  if (const List* list = container.list()) {
    return std::any_of(
        list->begin(), list->end(), [&](const Value& item) { return same(budget, item, value); });
  }
  if (container.is_undefined()) {
    return false;
  }
  if (const Namespace* space = container.space(); space != nullptr && value.text() != nullptr) {
    return !member(budget, container, value.text()->bytes).is_undefined();
  }
  fault("\"in\" cannot look into a " + std::string{kind_name(container)});
}

}  // namespace skerry::runtime::jinja
