#pragma once

// Strict reading and canonical writing of JSON. Input from outside is refused for: invalid UTF-8,
// duplicate keys, more levels, bytes or values than `JsonLimits` allows, trailing bytes. Errors
// name the byte offset or the path of the value ("signed.roles.root.threshold"). Used for TUF
// metadata, manifests, audit records and reports.
//
// `Json` is a small value type, so that no JSON library shows in the interfaces of the modules;
// Boost.JSON does the work inside.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry {

struct JsonLimits {
  std::size_t bytes = 4U << 20U;
  std::size_t depth = 32;
  // Each takes some 60 bytes of memory, and may be two of the text: "[0,0,0".
  std::size_t values = static_cast<std::size_t>(-1);
};

class Json {
 public:
  using Array = std::vector<Json>;
  // Sorted by key, which is the canonical order (code points equal UTF-8 byte order).
  using Object = std::map<std::string, Json, std::less<>>;

  Json() = default;  // null
  // Implicit, so that documents are written as they read: Json::Object{{"size", 3}}.
  // NOLINTBEGIN(google-explicit-constructor)
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(std::int64_t value) : value_(value) {}
  Json(int value) : value_(static_cast<std::int64_t>(value)) {}
  Json(std::uint64_t value) : value_(static_cast<std::int64_t>(value)) {}
  Json(std::uint32_t value) : value_(static_cast<std::int64_t>(value)) {}
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string{value}) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string{value}) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  // NOLINTEND(google-explicit-constructor)

  static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  [[nodiscard]] bool is_object() const { return std::holds_alternative<Object>(value_); }
  [[nodiscard]] bool is_array() const { return std::holds_alternative<Array>(value_); }
  [[nodiscard]] bool is_string() const { return std::holds_alternative<std::string>(value_); }
  [[nodiscard]] bool is_int() const { return std::holds_alternative<std::int64_t>(value_); }
  [[nodiscard]] bool is_bool() const { return std::holds_alternative<bool>(value_); }
  [[nodiscard]] bool is_number() const {
    return is_int() || std::holds_alternative<double>(value_);
  }

  // Unchecked access for values whose kind was tested; null pointers otherwise.
  [[nodiscard]] const Object* object() const { return std::get_if<Object>(&value_); }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value_); }
  [[nodiscard]] const std::string* string() const { return std::get_if<std::string>(&value_); }
  [[nodiscard]] Object* object() { return std::get_if<Object>(&value_); }
  [[nodiscard]] Array* array() { return std::get_if<Array>(&value_); }

  // The member `key`, or null if this is no object or has no such member.
  [[nodiscard]] const Json* find(std::string_view key) const;

  // Typed members; kParse names the key when it is missing or of another type.
  [[nodiscard]] Result<std::string> get_string(std::string_view key) const;
  [[nodiscard]] Result<std::int64_t> get_int(std::string_view key) const;
  [[nodiscard]] Result<bool> get_bool(std::string_view key) const;
  [[nodiscard]] Result<double> get_number(std::string_view key) const;
  // The referred value lives in this one.
  [[nodiscard]] Result<const Json*> get_object(std::string_view key) const;
  [[nodiscard]] Result<const Json*> get_array(std::string_view key) const;

  // The value as itself; kParse otherwise.
  [[nodiscard]] Result<std::int64_t> as_int() const;
  [[nodiscard]] Result<double> as_number() const;

  // Sorted keys, no white space: ordinary JSON escapes, floats in shortest form.
  [[nodiscard]] std::string dump() const;
  // Two-space indentation, for people.
  [[nodiscard]] std::string dump_pretty() const;
  // OLPC canonical JSON, which TUF signs: only '\' and '"' escaped, integers only; kInvalidArgument
  // for a float.
  [[nodiscard]] Result<std::string> canonical() const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace skerry
