#include "skerry/common/json.hpp"

#include <array>
#include <charconv>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "skerry/common/bytes.hpp"

namespace skerry {
namespace {

namespace bj = boost::json;

// Builds the value while Boost.JSON's parser walks the text; refuses duplicate keys, which the
// parser allows.
class Builder {
 public:
  explicit Builder(std::size_t most) : left_(most) {}

  // The names are those that bj::basic_parser calls.
  // NOLINTBEGIN(readability-identifier-naming)
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  bool on_document_begin(bj::error_code&) { return true; }
  bool on_document_end(bj::error_code&) { return true; }
  bool on_object_begin(bj::error_code&) {
    stack_.emplace_back(Json::Object{});
    return true;
  }
  bool on_object_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_array_begin(bj::error_code&) {
    stack_.emplace_back(Json::Array{});
    return true;
  }
  bool on_array_end(std::size_t, bj::error_code& ec) { return close(ec); }
  bool on_key_part(bj::string_view part, std::size_t, bj::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, bj::error_code&) {
    text_.append(part.data(), part.size());
    keys_.push_back(std::exchange(text_, {}));
    return true;
  }
  bool on_string_part(bj::string_view part, std::size_t, bj::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(bj::string_view part, std::size_t, bj::error_code& ec) {
    text_.append(part.data(), part.size());
    return add(Json{std::exchange(text_, {})}, ec);
  }
  bool on_number_part(bj::string_view, bj::error_code&) { return true; }
  bool on_int64(std::int64_t value, bj::string_view, bj::error_code& ec) {
    return add(Json{value}, ec);
  }
  bool on_uint64(std::uint64_t value, bj::string_view, bj::error_code& ec) {
    return add(Json{static_cast<double>(value)}, ec);
  }
  bool on_double(double value, bj::string_view text, bj::error_code& ec) {
    // Boost 1.81 may be one unit in the last place off; what is written must read back the same.
    double exact = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, exact);
    return add(Json{error == std::errc{} && stop == end ? exact : value}, ec);
  }
  bool on_bool(bool value, bj::error_code& ec) { return add(Json{value}, ec); }
  bool on_null(bj::error_code& ec) { return add(Json{}, ec); }
  bool on_comment_part(bj::string_view, bj::error_code&) { return true; }
  bool on_comment(bj::string_view, bj::error_code&) { return true; }
  // NOLINTEND(readability-identifier-naming)

  [[nodiscard]] const std::string& duplicate() const { return duplicate_; }
  [[nodiscard]] bool too_many() const { return too_many_; }
  Json take() { return std::move(root_); }

 private:
  bool close(bj::error_code& ec) {
    Json done = std::move(stack_.back());
    stack_.pop_back();
    return add(std::move(done), ec);
  }

  bool add(Json value, bj::error_code& ec) {
    if (left_ == 0) {
      too_many_ = true;
      ec = bj::error::array_too_large;
      return false;
    }
    --left_;
    if (stack_.empty()) {
      root_ = std::move(value);
      return true;
    }
    if (auto* array = stack_.back().array()) {
      array->push_back(std::move(value));
      return true;
    }
    std::string key = std::move(keys_.back());
    keys_.pop_back();
    if (!stack_.back().object()->emplace(key, std::move(value)).second) {
      duplicate_ = std::move(key);
      ec = bj::error::syntax;
      return false;
    }
    return true;
  }

  std::size_t left_;
  bool too_many_ = false;
  std::vector<Json> stack_;
  std::vector<std::string> keys_;
  std::string text_;
  std::string duplicate_;
  Json root_;
};

void append_escaped(std::string& out, std::string_view text) {
  out += bj::serialize(bj::string_view{text.data(), text.size()});
}

void append_canonical_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  out += '"';
}

// The three text forms differ in strings, numbers and white space alone.
class Writer {
 public:
  enum class Style { kCompact, kPretty, kCanonical };
  explicit Writer(Style style) : style_(style) {}

  Result<void> write(const Json& value, std::size_t depth = 0) {
    if (const auto* object = value.object()) {
      return write_object(*object, depth);
    }
    if (const auto* array = value.array()) {
      return write_array(*array, depth);
    }
    if (const auto* text = value.string()) {
      write_text(*text);
    } else if (value.is_int()) {
      out_ += std::to_string(*value.as_int());
    } else if (value.is_number()) {
      if (style_ == Style::kCanonical) {
        return Error{Error::Code::kInvalidArgument, "canonical JSON has no fractions"};
      }
      out_ += bj::serialize(bj::value(*value.as_number()));
    } else if (value.is_bool()) {
      out_ += value == Json{true} ? "true" : "false";
    } else {
      out_ += "null";
    }
    return {};
  }

  std::string take() { return std::move(out_); }

 private:
  void write_text(std::string_view text) {
    if (style_ == Style::kCanonical) {
      append_canonical_text(out_, text);
    } else {
      append_escaped(out_, text);
    }
  }

  void new_line(std::size_t depth) {
    if (style_ == Style::kPretty) {
      out_ += '\n';
      out_.append(depth * 2, ' ');
    }
  }

  Result<void> write_object(const Json::Object& object, std::size_t depth) {
    out_ += '{';
    bool first = true;
    for (const auto& [key, member] : object) {
      if (!std::exchange(first, false)) {
        out_ += ',';
      }
      new_line(depth + 1);
      write_text(key);
      out_ += style_ == Style::kPretty ? ": " : ":";
      if (auto written = write(member, depth + 1); !written) {
        return written.error().with_context(key);
      }
    }
    if (!first) {
      new_line(depth);
    }
    out_ += '}';
    return {};
  }

  Result<void> write_array(const Json::Array& array, std::size_t depth) {
    out_ += '[';
    bool first = true;
    for (const auto& element : array) {
      if (!std::exchange(first, false)) {
        out_ += ',';
      }
      new_line(depth + 1);
      if (auto written = write(element, depth + 1); !written) {
        return written;
      }
    }
    if (!first) {
      new_line(depth);
    }
    out_ += ']';
    return {};
  }

  Style style_;
  std::string out_;
};

Error member_error(std::string_view key, std::string_view expected, const Json* found) {
  const std::string problem = found == nullptr ? "is missing" : "must be " + std::string{expected};
  return {Error::Code::kParse, "\"" + std::string{key} + "\" " + problem};
}

}  // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return Error{Error::Code::kTooLarge,
                 "JSON of " + std::to_string(text.size()) + " bytes, the limit is " +
                     std::to_string(limits.bytes)};
  }
  if (!is_utf8(text)) {
    return Error{Error::Code::kParse, "JSON text is not valid UTF-8"};
  }
  bj::parse_options options;
  options.max_depth = limits.depth;
  bj::basic_parser<Builder> parser{options, limits.values};
  bj::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (parser.handler().too_many()) {
    return Error{Error::Code::kTooLarge,
                 "JSON of more than " + std::to_string(limits.values) + " values"};
  }
  if (!parser.handler().duplicate().empty()) {
    return Error{Error::Code::kParse,
                 "duplicate key \"" + parser.handler().duplicate() + "\" before byte " +
                     std::to_string(used)};
  }
  if (ec) {
    return Error{Error::Code::kParse, "JSON at byte " + std::to_string(used) + ": " + ec.message()};
  }
  if (used != text.size()) {
    return Error{Error::Code::kParse, "JSON has extra bytes from byte " + std::to_string(used)};
  }
  return parser.handler().take();
}

const Json* Json::find(std::string_view key) const {
  const auto* members = object();
  if (members == nullptr) {
    return nullptr;
  }
  const auto found = members->find(key);
  return found == members->end() ? nullptr : &found->second;
}

Result<std::string> Json::get_string(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_string()) {
    return member_error(key, "a string", member);
  }
  return *member->string();
}

Result<std::int64_t> Json::get_int(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_int()) {
    return member_error(key, "a whole number", member);
  }
  return std::get<std::int64_t>(member->value_);
}

Result<bool> Json::get_bool(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_bool()) {
    return member_error(key, "true or false", member);
  }
  return std::get<bool>(member->value_);
}

Result<double> Json::get_number(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_number()) {
    return member_error(key, "a number", member);
  }
  return member->as_number();
}

Result<const Json*> Json::get_object(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_object()) {
    return member_error(key, "an object", member);
  }
  return member;
}

Result<const Json*> Json::get_array(std::string_view key) const {
  const Json* member = find(key);
  if (member == nullptr || !member->is_array()) {
    return member_error(key, "an array", member);
  }
  return member;
}

Result<std::int64_t> Json::as_int() const {
  if (!is_int()) {
    return Error{Error::Code::kParse, "not a whole number"};
  }
  return std::get<std::int64_t>(value_);
}

Result<double> Json::as_number() const {
  if (is_int()) {
    return static_cast<double>(std::get<std::int64_t>(value_));
  }
  if (const auto* number = std::get_if<double>(&value_)) {
    return *number;
  }
  return Error{Error::Code::kParse, "not a number"};
}

std::string Json::dump() const {
  Writer writer{Writer::Style::kCompact};
  (void)writer.write(*this);  // Only the canonical form can fail.
  return writer.take();
}

std::string Json::dump_pretty() const {
  Writer writer{Writer::Style::kPretty};
  (void)writer.write(*this);
  return writer.take();
}

Result<std::string> Json::canonical() const {
  Writer writer{Writer::Style::kCanonical};
  if (auto written = writer.write(*this); !written) {
    return written.error();
  }
  return writer.take();
}

}  // namespace skerry
