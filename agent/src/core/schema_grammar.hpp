#pragma once

// One conversion of a schema: what it has made so far and the rules that it makes. Private to
// json_schema.cpp (which keyword means what) and schema_types.cpp (each type's own keywords).

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "skerry/agent/json_schema.hpp"
#include "skerry/common/error.hpp"

#include "schema_rules.hpp"

namespace skerry::agent::schema {

namespace bj = boost::json;

// What only tells people something.
inline constexpr std::array<std::string_view, 12> kAnnotations{"title",
                                                               "description",
                                                               "default",
                                                               "examples",
                                                               "example",
                                                               "$comment",
                                                               "$schema",
                                                               "$id",
                                                               "readOnly",
                                                               "writeOnly",
                                                               "deprecated",
                                                               "$anchor"};

inline bool is_one_of(std::string_view text, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

inline std::string_view text_of(const bj::string& text) {
  return {text.data(), text.size()};
}

class SchemaGrammar {
 public:
  SchemaGrammar(const bj::value& document, const SchemaLimits& limits)
      : document_(document), limits_(limits) {}

  Result<std::string> run(const std::string& where) {
    Result<std::string> root = any_schema(document_, where, 0);
    if (!root) {
      return root;
    }
    if (rules_.bytes() > limits_.grammar_bytes) {
      return too_large(where);
    }
    return rules_.grammar(*root);
  }

 private:
  using Where = const std::string&;

  // Names come from the schema and may be long; gRPC carries a message of at most 8 KiB.
  static std::string told(std::string_view name) {
    constexpr std::size_t kMost = 400;
    if (name.size() <= kMost) {
      return std::string{name};
    }
    std::size_t end = kMost;
    while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) {
      --end;  // no code point is cut
    }
    return std::string{name.substr(0, end)} + "…";
  }
  static Error bad(Where where, std::string_view problem) {
    return Error{Error::Code::kInvalidArgument, told(where) + ": " + told(problem)};
  }
  static Error too_large(Where where) {
    return bad(where, "the schema is too large: fewer properties, values and repetitions");
  }
  static Error not_offered(Where where, std::string_view keyword) {
    return bad(where, "the keyword \"" + told(keyword) + "\" is not offered by this server");
  }

  // Each returns an expression of the grammar: mostly the name of a rule.
  Result<std::string> any_schema(const bj::value& schema, Where where, std::size_t depth);
  Result<std::string> object_schema(const bj::object& schema, Where where, std::size_t depth);
  Result<std::string> reference(const bj::object& schema, Where where, std::size_t depth);
  Result<std::string> alternatives(const bj::object& schema,
                                   std::string_view keyword,
                                   Where where,
                                   std::size_t depth);
  Result<void> check_apart(const bj::array& list, Where where) const;
  Result<std::string> values(const bj::object& schema, Where where);
  Result<std::string> of_type(std::string_view type,
                              const bj::object& schema,
                              Where where,
                              std::size_t depth);
  Result<std::string> object_type(const bj::object& schema, Where where, std::size_t depth);
  Result<std::string> members(const bj::object& properties,
                              const std::vector<std::string>& required,
                              const std::string& extra,
                              Where where,
                              std::size_t depth);
  Result<std::string> array_type(const bj::object& schema, Where where, std::size_t depth);
  Result<std::string> string_type(const bj::object& schema, Where where);
  Result<std::string> formatted(std::string_view format, Where where);
  Result<std::string> number_type(bool integer, const bj::object& schema, Where where);
  Result<std::string> integers(std::int64_t low, std::int64_t high, Where where);

  Result<void> check_keywords(const bj::object& schema, Where where) const;
  // Only annotations stand beside it.
  Result<void> check_alone(const bj::object& schema, std::string_view keyword, Where where) const;
  Result<std::vector<std::string>> types(const bj::object& schema, Where where) const;
  Result<std::size_t> count(const bj::object& schema,
                            std::string_view keyword,
                            std::size_t absent,
                            Where where) const;
  Result<void> spend_names(std::size_t names, Where where) {
    names_ += names;
    return names_ > limits_.names ? Result<void>{too_large(where)} : Result<void>{};
  }

  const bj::value& document_;
  const SchemaLimits& limits_;
  Rules rules_;
  std::map<std::string, std::string> references_;
  std::size_t names_ = 0;
};

}  // namespace skerry::agent::schema
