#include "texts.hpp"

#include <algorithm>
#include <cstring>

namespace skerry::runtime {

void ChatText::append(const ChatText& other) {
  for (const Span& span : other.given) {
    const std::size_t begin = bytes.size() + span.begin;
    const std::size_t end = bytes.size() + span.end;
    if (!given.empty() && given.back().end == begin) {
      given.back().end = end;
    } else {
      given.push_back({begin, end});
    }
  }
  bytes += other.bytes;
}

void ChatText::append_given(std::string_view theirs) {
  if (theirs.empty()) {
    return;
  }
  if (!given.empty() && given.back().end == bytes.size()) {
    given.back().end += theirs.size();
  } else {
    given.push_back({bytes.size(), bytes.size() + theirs.size()});
  }
  bytes += theirs;
}

ChatText ChatText::part(std::size_t begin, std::size_t end) const {
  ChatText out;
  out.bytes = bytes.substr(begin, end - begin);
  const auto first =
      std::lower_bound(given.begin(), given.end(), begin, [](const Span& span, std::size_t at) {
        return span.end <= at;
      });
  for (auto span = first; span != given.end() && span->begin < end; ++span) {
    out.given.push_back({std::max(span->begin, begin) - begin, std::min(span->end, end) - begin});
  }
  return out;
}

}  // namespace skerry::runtime

namespace skerry::runtime::jinja {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
char upper_of(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
char lower_of(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Where a text is cut: pieces are what lies between.
using Cuts = std::vector<ChatText::Span>;

Cuts find_separators(Budget& budget,
                     std::string_view bytes,
                     std::string_view separator,
                     std::int64_t most) {
  Cuts cuts;
  std::size_t at = find_text(bytes, separator);
  while (at != std::string_view::npos &&
         (most < 0 || cuts.size() < static_cast<std::size_t>(most))) {
    budget.work();
    cuts.push_back({at, at + separator.size()});
    at = find_text(bytes, separator, at + separator.size());
  }
  return cuts;
}

Cuts find_separators_back(Budget& budget,
                          std::string_view bytes,
                          std::string_view separator,
                          std::size_t most) {
  Cuts cuts;
  std::size_t end = bytes.size();
  while (cuts.size() < most && end >= separator.size()) {
    budget.work(separator.size() / 64 * (end / 64));
    const std::size_t at = bytes.substr(0, end).rfind(separator);
    if (at == std::string_view::npos) {
      break;
    }
    budget.work();
    cuts.push_back({at, at + separator.size()});
    end = at;
  }
  std::reverse(cuts.begin(), cuts.end());
  return cuts;
}

List split_at_spaces(Budget& budget, const ChatText& text, std::int64_t most) {
  List out;
  const std::string& bytes = text.bytes;
  std::size_t at = 0;
  while (true) {
    std::size_t length = 0;
    while (at < bytes.size() && is_space_at(bytes, at, length)) {
      at += length;
    }
    if (at == bytes.size()) {
      return out;
    }
    if (most >= 0 && out.size() == static_cast<std::size_t>(most)) {
      out.push_back(
          make_text(budget, strip(text.part(at, bytes.size()), false, true, std::nullopt)));
      return out;
    }
    const std::size_t begin = at;
    while (at < bytes.size() && !is_space_at(bytes, at, length)) {
      at = next_point(bytes, at);
    }
    out.push_back(make_text(budget, text.part(begin, at)));
  }
}

}  // namespace

std::size_t find_text(std::string_view bytes, std::string_view what, std::size_t from) {
  constexpr std::size_t kShort = 64;
  if (what.size() <= kShort || from >= bytes.size()) {
    return bytes.find(what, from);
  }
  const void* const found =
      memmem(bytes.data() + from, bytes.size() - from, what.data(), what.size());
  return found == nullptr
             ? std::string_view::npos
             : static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
}

std::size_t next_point(std::string_view bytes, std::size_t at) {
  ++at;
  while (at < bytes.size() && (static_cast<unsigned char>(bytes[at]) & 0xc0U) == 0x80U) {
    ++at;
  }
  return at;
}

std::size_t count_points(std::string_view bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
  }));
}

std::size_t byte_of_point(std::string_view bytes, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < bytes.size(); --index) {
    at = next_point(bytes, at);
  }
  return at;
}

bool is_space_at(std::string_view bytes, std::size_t at, std::size_t& length) {
  const auto byte = static_cast<unsigned char>(bytes[at]);
  length = 1;
  if (byte < 0x80) {
    return byte == ' ' || (byte >= 0x09 && byte <= 0x0d) || (byte >= 0x1c && byte <= 0x1f);
  }
  length = next_point(bytes, at) - at;
  const std::string_view point = bytes.substr(at, length);
  if (point == "\u0085" || point == "\u00a0" || point == "\u1680" || point == "\u2028" ||
      point == "\u2029" || point == "\u202f" || point == "\u205f" || point == "\u3000") {
    return true;
  }
  return point >= "\u2000" && point <= "\u200a" && length == 3;
}

ChatText strip(const ChatText& text, bool left, bool right, std::optional<std::string_view> chars) {
  const std::string& bytes = text.bytes;
  const auto gone = [&](std::size_t at, std::size_t& length) {
    if (!chars) {
      return is_space_at(bytes, at, length);
    }
    length = next_point(bytes, at) - at;
    return chars->find(std::string_view{bytes}.substr(at, length)) != std::string_view::npos;
  };
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  std::size_t length = 0;
  while (left && begin < end && gone(begin, length)) {
    begin += length;
  }
  while (right && end > begin) {
    std::size_t last = end - 1;
    while (last > begin && (static_cast<unsigned char>(bytes[last]) & 0xc0U) == 0x80U) {
      --last;
    }
    if (!gone(last, length) || last + length != end) {
      break;
    }
    end = last;
  }
  return text.part(begin, end);
}

List split(Budget& budget,
           const ChatText& text,
           std::optional<std::string_view> separator,
           std::int64_t most,
           bool from_right) {
  if (!separator) {
    return split_at_spaces(budget, text, most);
  }
  if (separator->empty()) {
    fault("split takes a separator that is not empty");
  }
  budget.work(text.bytes.size() / 16);
  const Cuts cuts =
      from_right && most >= 0
          ? find_separators_back(budget, text.bytes, *separator, static_cast<std::size_t>(most))
          : find_separators(budget, text.bytes, *separator, most);
  List out;
  std::size_t begin = 0;
  for (const ChatText::Span& cut : cuts) {
    out.push_back(make_text(budget, text.part(begin, cut.begin)));
    begin = cut.end;
  }
  out.push_back(make_text(budget, text.part(begin, text.bytes.size())));
  return out;
}

ChatText replace(Budget& budget,
                 const ChatText& text,
                 const ChatText& from,
                 const ChatText& to,
                 std::int64_t most) {
  budget.work(text.bytes.size() / 16);
  ChatText out;
  if (from.bytes.empty()) {
    // Python puts it before each character and at the end.
    for (std::size_t at = 0; at < text.bytes.size();) {
      if (most != 0) {
        out.append(to);
        --most;
      }
      const std::size_t next = next_point(text.bytes, at);
      out.append(text.part(at, next));
      budget.memory(to.bytes.size() + 16);
      at = next;
    }
    if (most != 0) {
      out.append(to);
    }
    return out;
  }
  std::size_t begin = 0;
  for (const ChatText::Span& cut : find_separators(budget, text.bytes, from.bytes, most)) {
    budget.memory(to.bytes.size() + (cut.begin - begin));
    out.append(text.part(begin, cut.begin));
    out.append(to);
    begin = cut.end;
  }
  out.append(text.part(begin, text.bytes.size()));
  return out;
}

ChatText join(Budget& budget, const List& list, const ChatText& separator) {
  ChatText out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i > 0) {
      budget.memory(separator.bytes.size());
      out.append(separator);
    }
    out.append(to_text(budget, list[i]));
  }
  return out;
}

ChatText repeat(Budget& budget, const ChatText& text, std::int64_t times) {
  ChatText out;
  for (std::int64_t i = 0; i < times && !text.bytes.empty(); ++i) {
    budget.memory(text.bytes.size() + 1);
    out.append(text);
  }
  return out;
}

ChatText indent(Budget& budget, const ChatText& text, std::size_t width, bool first, bool blank) {
  budget.memory(text.bytes.size());
  ChatText out;
  std::size_t begin = 0;
  for (bool at_first = true; begin <= text.bytes.size(); at_first = false) {
    const std::size_t newline = text.bytes.find('\n', begin);
    const std::size_t end = newline == std::string::npos ? text.bytes.size() : newline;
    if ((!at_first || first) && (at_first || blank || end > begin)) {
      budget.memory(width);
      out.append(std::string(width, ' '));
    }
    if (newline == std::string::npos) {
      out.append(text.part(begin, end));
      break;
    }
    out.append(text.part(begin, end + 1));
    begin = end + 1;
  }
  return out;
}

ChatText upper(ChatText text) {
  std::transform(text.bytes.begin(), text.bytes.end(), text.bytes.begin(), upper_of);
  return text;
}

ChatText lower(ChatText text) {
  std::transform(text.bytes.begin(), text.bytes.end(), text.bytes.begin(), lower_of);
  return text;
}

ChatText capitalize(ChatText text) {
  text = lower(std::move(text));
  if (!text.bytes.empty()) {
    text.bytes[0] = upper_of(text.bytes[0]);
  }
  return text;
}

ChatText title(ChatText text) {
  bool within = false;
  for (char& c : text.bytes) {
    c = within ? lower_of(c) : upper_of(c);
    within = is_letter(c);
  }
  return text;
}

}  // namespace skerry::runtime::jinja
