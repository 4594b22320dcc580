#include "skerry/agent/json_schema.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "skerry/common/error.hpp"

#include "schema_rules.hpp"

namespace skerry::agent {
namespace {

namespace bj = boost::json;
using schema::kNoMost;
using schema::quoted;
using schema::times;

constexpr std::size_t kNameBytes = 256;

// What only tells people something.
constexpr std::array<std::string_view, 12> kAnnotations{"title",
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
// What is read below; anything else is refused by name.
constexpr std::array<std::string_view, 20> kTaken{
    "type",        "properties", "required",  "additionalProperties",
    "enum",        "const",      "items",     "minItems",
    "maxItems",    "minLength",  "maxLength", "anyOf",
    "oneOf",       "allOf",      "$ref",      "$defs",
    "definitions", "format",     "minimum",   "maximum"};
constexpr std::array<std::string_view, 7> kSchemaTypes{
    "object", "array", "string", "number", "integer", "boolean", "null"};

bool is_one_of(std::string_view text, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string_view text_of(const bj::string& text) {
  return {text.data(), text.size()};
}

// The JSON schema type of a value; an integer is a number too.
std::string_view type_of(const bj::value& value) {
  switch (value.kind()) {
    case bj::kind::object:
      return "object";
    case bj::kind::array:
      return "array";
    case bj::kind::string:
      return "string";
    case bj::kind::bool_:
      return "boolean";
    case bj::kind::null:
      return "null";
    case bj::kind::double_:
      return "number";
    default:
      return "integer";
  }
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

  static Error bad(Where where, std::string_view problem) {
    return Error{Error::Code::kInvalidArgument, where + ": " + std::string{problem}};
  }
  static Error too_large(Where where) {
    return bad(where, "the schema is too large: fewer properties, values and repetitions");
  }
  static Error not_offered(Where where, std::string_view keyword) {
    return bad(where, "the keyword \"" + std::string{keyword} + "\" is not offered by this server");
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
  schema::Rules rules_;
  std::map<std::string, std::string> references_;
  std::size_t names_ = 0;
};

Result<std::string> SchemaGrammar::any_schema(const bj::value& schema,
                                              Where where,
                                              std::size_t depth) {
  if (depth > limits_.depth) {
    return bad(where, "schemas are nested at most " + std::to_string(limits_.depth) + " deep");
  }
  if (rules_.count() > limits_.rules || rules_.bytes() > limits_.grammar_bytes) {
    return too_large(where);
  }
  if (schema.is_bool()) {
    if (schema.get_bool()) {
      return rules_.shared("value");
    }
    return bad(where, "false takes no value at all");
  }
  if (!schema.is_object()) {
    return bad(where, "a schema must be an object, true or false");
  }
  return object_schema(schema.get_object(), where, depth);
}

Result<void> SchemaGrammar::check_keywords(const bj::object& schema, Where where) const {
  for (const auto& member : schema) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (!is_one_of(key, kTaken) && !is_one_of(key, kAnnotations)) {
      return not_offered(where, key);
    }
  }
  return {};
}

Result<void> SchemaGrammar::check_alone(const bj::object& schema,
                                        std::string_view keyword,
                                        Where where) const {
  for (const auto& member : schema) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (key != keyword && key != "$defs" && key != "definitions" && !is_one_of(key, kAnnotations)) {
      return bad(where,
                 "\"" + std::string{key} + "\" beside \"" + std::string{keyword} +
                     "\" is not offered: put it into each alternative");
    }
  }
  return {};
}

Result<std::string> SchemaGrammar::object_schema(const bj::object& schema,
                                                 Where where,
                                                 std::size_t depth) {
  if (Result<void> done = check_keywords(schema, where); !done) {
    return done.error();
  }
  if (schema.contains("$ref")) {
    return reference(schema, where, depth);
  }
  for (const std::string_view keyword : {"anyOf", "oneOf", "allOf"}) {
    if (schema.contains(keyword)) {
      return alternatives(schema, keyword, where, depth);
    }
  }
  if (schema.contains("enum") || schema.contains("const")) {
    return values(schema, where);
  }
  Result<std::vector<std::string>> allowed = types(schema, where);
  if (!allowed) {
    return allowed.error();
  }
  if (allowed->empty()) {
    return rules_.shared("value");
  }
  std::string body;
  for (const std::string& type : *allowed) {
    Result<std::string> one = of_type(type, schema, where, depth);
    if (!one) {
      return one;
    }
    body += (body.empty() ? "" : " | ") + *one;
  }
  return allowed->size() == 1 ? body : rules_.add(body);
}

// "#" or a pointer into this document, each made once: a schema may hold itself.
Result<std::string> SchemaGrammar::reference(const bj::object& schema,
                                             Where where,
                                             std::size_t depth) {
  if (Result<void> done = check_alone(schema, "$ref", where); !done) {
    return done.error();
  }
  const bj::value& given = schema.at("$ref");
  if (!given.is_string() || !text_of(given.get_string()).starts_with('#')) {
    return bad(where, "\"$ref\" must be \"#\" or begin with \"#/\": only this schema is read");
  }
  const std::string pointer{text_of(given.get_string()).substr(1)};
  if (const auto known = references_.find(pointer); known != references_.end()) {
    return known->second;
  }
  boost::system::error_code ec;
  const bj::value* const target = document_.find_pointer(pointer, ec);
  if (ec || target == nullptr) {
    return bad(where, "\"$ref\" leads to nothing: \"#" + pointer + "\"");
  }
  const std::string name = rules_.reserve();
  references_.emplace(pointer, name);
  Result<std::string> body = any_schema(*target, where, depth + 1);
  if (!body) {
    return body;
  }
  if (*body == name) {
    return bad(where, "\"$ref\" leads to itself");
  }
  rules_.set(name, *body);
  return name;
}

Result<std::string> SchemaGrammar::alternatives(const bj::object& schema,
                                                std::string_view keyword,
                                                Where where,
                                                std::size_t depth) {
  if (Result<void> done = check_alone(schema, keyword, where); !done) {
    return done.error();
  }
  const std::string inner = where + "." + std::string{keyword};
  const bj::value& given = schema.at(keyword);
  if (!given.is_array() || given.get_array().empty()) {
    return bad(inner, "must be an array with at least one schema");
  }
  const bj::array& list = given.get_array();
  if (keyword == "allOf" && list.size() > 1) {
    return bad(inner, "only one schema is offered: write it as one");
  }
  if (keyword == "oneOf") {
    if (Result<void> done = check_apart(list, inner); !done) {
      return done.error();
    }
  }
  if (Result<void> done = spend_names(list.size(), where); !done) {
    return done.error();
  }
  std::string body;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Result<std::string> one = any_schema(list[i], inner + "[" + std::to_string(i) + "]", depth + 1);
    if (!one) {
      return one;
    }
    body += (body.empty() ? "" : " | ") + *one;
  }
  return rules_.add(body);
}

// A text must fit exactly one of them, which a grammar cannot say: alternatives that differ in
// their type, or in the constant of one required property, never fit two.
Result<void> SchemaGrammar::check_apart(const bj::array& list, Where where) const {
  const auto type = [](const bj::value& one) -> std::string {
    const bj::value* found = one.is_object() ? one.get_object().if_contains("type") : nullptr;
    return found != nullptr && found->is_string() ? std::string{text_of(found->get_string())} : "";
  };
  const auto constants = [](const bj::value& one) {
    std::map<std::string, std::string> found;
    const bj::value* properties =
        one.is_object() ? one.get_object().if_contains("properties") : nullptr;
    const bj::value* required =
        one.is_object() ? one.get_object().if_contains("required") : nullptr;
    if (properties == nullptr || !properties->is_object() || required == nullptr ||
        !required->is_array()) {
      return found;
    }
    for (const bj::value& name : required->get_array()) {
      const bj::value* property =
          name.is_string() ? properties->get_object().if_contains(name.get_string()) : nullptr;
      if (property != nullptr && property->is_object() &&
          property->get_object().contains("const")) {
        found.emplace(std::string{text_of(name.get_string())},
                      bj::serialize(property->get_object().at("const")));
      }
    }
    return found;
  };
  constexpr std::size_t kMost = 64;
  if (list.size() > kMost) {
    return bad(where, "at most 64 alternatives are offered");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const std::string first = type(list[i]);
      const std::string second = type(list[j]);
      const bool numbers =
          (first == "number" && second == "integer") || (first == "integer" && second == "number");
      if (!first.empty() && !second.empty() && first != second && !numbers) {
        continue;
      }
      const auto left = constants(list[i]);
      const auto right = constants(list[j]);
      const bool apart = first == "object" && second == "object" &&
                         std::any_of(left.begin(), left.end(), [&](const auto& one) {
                           const auto other = right.find(one.first);
                           return other != right.end() && other->second != one.second;
                         });
      if (!apart) {
        return bad(where,
                   "alternatives must differ in \"type\", or be objects that differ in the "
                   "\"const\" of a required property; \"anyOf\" takes any");
      }
    }
  }
  return {};
}

Result<std::string> SchemaGrammar::values(const bj::object& schema, Where where) {
  for (const auto& member : schema) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (key != "enum" && key != "const" && key != "type" && key != "$defs" &&
        key != "definitions" && !is_one_of(key, kAnnotations)) {
      return bad(where, "\"" + std::string{key} + "\" beside listed values is not offered");
    }
  }
  Result<std::vector<std::string>> allowed = types(schema, where);
  if (!allowed) {
    return allowed.error();
  }
  bj::array list;
  if (const bj::value* one = schema.if_contains("const")) {
    list.push_back(*one);
  }
  if (const bj::value* several = schema.if_contains("enum")) {
    if (!several->is_array() || several->get_array().empty() || !list.empty()) {
      return bad(where, "\"enum\" must be an array with values, and not beside \"const\"");
    }
    list = several->get_array();
  }
  if (Result<void> done = spend_names(list.size(), where); !done) {
    return done.error();
  }
  std::string body;
  for (const bj::value& one : list) {
    const std::string_view type = type_of(one);
    const bool fits =
        allowed->empty() || std::any_of(allowed->begin(), allowed->end(), [&](const auto& name) {
          return name == type || (name == "number" && type == "integer");
        });
    if (fits) {
      body += (body.empty() ? "" : " | ") + quoted(bj::serialize(one));
    }
  }
  if (body.empty()) {
    return bad(where, "none of the listed values has the type that is asked for");
  }
  return rules_.add(body);
}

Result<std::vector<std::string>> SchemaGrammar::types(const bj::object& schema, Where where) const {
  std::vector<std::string> out;
  const bj::value* given = schema.if_contains("type");
  if (given == nullptr) {
    // What speaks of one type only is taken to mean it.
    constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kTelling{
        {{"properties", "object"},
         {"required", "object"},
         {"additionalProperties", "object"},
         {"items", "array"},
         {"minItems", "array"},
         {"maxItems", "array"},
         {"minLength", "string"},
         {"maxLength", "string"}}};
    for (const auto& [key, type] : kTelling) {
      if (schema.contains(key) && (out.empty() || out.back() != type)) {
        out.emplace_back(type);
      }
    }
    const bool unclear = out.size() > 1 || schema.contains("format") ||
                         schema.contains("minimum") || schema.contains("maximum");
    if (unclear && !schema.contains("enum")) {
      return bad(where, "\"type\" is missing");
    }
    return out;
  }
  const bj::array one{*given};
  const bj::array& list = given->is_array() ? given->get_array() : one;
  for (const bj::value& type : list) {
    if (!type.is_string() || !is_one_of(text_of(type.get_string()), kSchemaTypes)) {
      return bad(where,
                 "\"type\" must be \"object\", \"array\", \"string\", \"number\", \"integer\", "
                 "\"boolean\" or \"null\", or an array of these");
    }
    std::string name{text_of(type.get_string())};
    if (std::find(out.begin(), out.end(), name) == out.end()) {
      out.push_back(std::move(name));
    }
  }
  if (out.empty()) {
    return bad(where, "\"type\" must name at least one type");
  }
  return out;
}

Result<std::string> SchemaGrammar::of_type(std::string_view type,
                                           const bj::object& schema,
                                           Where where,
                                           std::size_t depth) {
  if (type == "object") {
    return object_type(schema, where, depth);
  }
  if (type == "array") {
    return array_type(schema, where, depth);
  }
  if (type == "string") {
    return string_type(schema, where);
  }
  if (type == "number" || type == "integer") {
    return number_type(type == "integer", schema, where);
  }
  return rules_.shared(type);
}

Result<std::size_t> SchemaGrammar::count(const bj::object& schema,
                                         std::string_view keyword,
                                         std::size_t absent,
                                         Where where) const {
  const bj::value* given = schema.if_contains(keyword);
  if (given == nullptr) {
    return absent;
  }
  const std::int64_t* number = given->if_int64();
  if (number == nullptr || *number < 0 || static_cast<std::size_t>(*number) > limits_.repeats) {
    return bad(where,
               "\"" + std::string{keyword} + "\" must be a whole number from 0 to " +
                   std::to_string(limits_.repeats));
  }
  return static_cast<std::size_t>(*number);
}

Result<std::string> SchemaGrammar::object_type(const bj::object& schema,
                                               Where where,
                                               std::size_t depth) {
  static const bj::object kNone;
  const bj::value* properties = schema.if_contains("properties");
  if (properties != nullptr && !properties->is_object()) {
    return bad(where, "\"properties\" must be an object");
  }
  const bj::object& list = properties == nullptr ? kNone : properties->get_object();
  std::vector<std::string> required;
  if (const bj::value* given = schema.if_contains("required")) {
    if (!given->is_array()) {
      return bad(where, "\"required\" must be an array");
    }
    for (const bj::value& name : given->get_array()) {
      if (!name.is_string() || !list.contains(name.get_string())) {
        return bad(where, "\"required\" must hold names of \"properties\"");
      }
      required.emplace_back(text_of(name.get_string()));
    }
    std::sort(required.begin(), required.end());
  }
  const bj::value* more = schema.if_contains("additionalProperties");
  if (list.empty() && (more == nullptr || *more == bj::value(true))) {
    return rules_.shared("object");
  }
  if (Result<void> done = spend_names(list.size(), where); !done) {
    return done.error();
  }
  // Where nothing is said, only what is named is written: a model would not know when to stop.
  std::string extra;
  if (more != nullptr && *more != bj::value(false)) {
    Result<std::string> value = any_schema(*more, where + ".additionalProperties", depth + 1);
    if (!value) {
      return value;
    }
    std::vector<std::string> names;
    for (const auto& member : list) {
      names.emplace_back(member.key().data(), member.key().size());
    }
    const std::string ws = rules_.shared("ws");
    const std::string key = list.empty() ? rules_.shared("string") : rules_.other_key(names);
    extra = rules_.add(key + " " + ws + " \":\" " + ws + " " + *value + " " + ws);
  }
  return members(list, required, extra, where, depth);
}

// Properties in the order of the schema. Rule i writes what comes from property i on; it has two
// forms: nothing was written before it, or something was.
Result<std::string> SchemaGrammar::members(const bj::object& properties,
                                           const std::vector<std::string>& required,
                                           const std::string& extra,
                                           Where where,
                                           std::size_t depth) {
  const std::string ws = rules_.shared("ws");
  const std::string comma = "\",\" " + ws + " ";
  std::string first = extra.empty() ? "\"\"" : "( " + extra + " ( " + comma + extra + " )* )?";
  std::string later = extra.empty() ? "\"\"" : "( " + comma + extra + " )*";
  std::vector<std::pair<std::string, bool>> pairs;
  for (const auto& member : properties) {
    const std::string name{member.key().data(), member.key().size()};
    if (name.size() > kNameBytes) {
      return bad(where, "names of properties have at most 256 bytes");
    }
    Result<std::string> value =
        any_schema(member.value(), where + ".properties." + name, depth + 1);
    if (!value) {
      return value;
    }
    const bool must = std::binary_search(required.begin(), required.end(), name);
    pairs.emplace_back(rules_.add(quoted(bj::serialize(bj::value(name))) + " " + ws + " \":\" " +
                                  ws + " " + *value + " " + ws),
                       must);
  }
  for (auto pair = pairs.rbegin(); pair != pairs.rend(); ++pair) {
    const std::string after = rules_.add(later);
    const std::string none = pair->second ? "" : " | " + rules_.add(first);
    first = pair->first + " " + after + none;
    later = pair->second ? comma + pair->first + " " + after
                         : comma + pair->first + " " + after + " | " + after;
  }
  return rules_.add("\"{\" " + ws + " " + rules_.add(first) + " \"}\"");
}

Result<std::string> SchemaGrammar::array_type(const bj::object& schema,
                                              Where where,
                                              std::size_t depth) {
  Result<std::size_t> least = count(schema, "minItems", 0, where);
  Result<std::size_t> most = count(schema, "maxItems", kNoMost, where);
  if (!least || !most) {
    return least ? most.error() : least.error();
  }
  if (*most < *least) {
    return bad(where, "\"maxItems\" is less than \"minItems\"");
  }
  std::string item = rules_.shared("value");
  if (const bj::value* given = schema.if_contains("items")) {
    Result<std::string> made = any_schema(*given, where + ".items", depth + 1);
    if (!made) {
      return made;
    }
    item = *std::move(made);
  }
  const std::string ws = rules_.shared("ws");
  if (*most == 0) {
    return rules_.add("\"[\" " + ws + " \"]\"");
  }
  const std::size_t more = *least == 0 ? 0 : *least - 1;
  std::string list = item + " " + ws + " ( \",\" " + ws + " " + item + " " + ws + " )" +
                     times(more, *most == kNoMost ? kNoMost : *most - 1);
  if (*least == 0) {
    list = "( " + list + " )?";
  }
  return rules_.add("\"[\" " + ws + " " + list + " \"]\"");
}

Result<std::string> SchemaGrammar::string_type(const bj::object& schema, Where where) {
  Result<std::size_t> least = count(schema, "minLength", 0, where);
  Result<std::size_t> most = count(schema, "maxLength", kNoMost, where);
  if (!least || !most) {
    return least ? most.error() : least.error();
  }
  if (*most < *least) {
    return bad(where, "\"maxLength\" is less than \"minLength\"");
  }
  if (const bj::value* format = schema.if_contains("format")) {
    if (schema.contains("minLength") || schema.contains("maxLength") || !format->is_string()) {
      return bad(where, "\"format\" must be a string, and not beside a length");
    }
    return formatted(text_of(format->get_string()), where);
  }
  if (*least == 0 && *most == kNoMost) {
    return rules_.shared("string");
  }
  return rules_.add("\"\\\"\" " + rules_.shared("char") + times(*least, *most) + " \"\\\"\"");
}

Result<std::string> SchemaGrammar::formatted(std::string_view format, Where where) {
  std::string body;
  if (format == "date-time") {
    body = rules_.shared("date") + " \"T\" " + rules_.shared("time");
  } else if (format == "date" || format == "time" || format == "uuid") {
    body = rules_.shared(format);
  } else {
    return bad(where,
               "the format \"" + std::string{format} +
                   "\" is not offered by this server: \"date-time\", \"date\", \"time\" and "
                   "\"uuid\" are");
  }
  return rules_.add("\"\\\"\" " + body + " \"\\\"\"");
}

// Bounds of numbers that a grammar can keep: a sign, or a short list.
Result<std::string> SchemaGrammar::number_type(bool integer,
                                               const bj::object& schema,
                                               Where where) {
  const bj::value* low = schema.if_contains("minimum");
  const bj::value* high = schema.if_contains("maximum");
  if (low == nullptr && high == nullptr) {
    return rules_.shared(integer ? "integer" : "number");
  }
  constexpr std::int64_t kFar = std::int64_t{1} << 52U;
  const auto whole = [](const bj::value* bound) {
    return bound == nullptr || (bound->if_int64() != nullptr && *bound->if_int64() <= kFar &&
                                *bound->if_int64() >= -kFar);
  };
  if (!integer || !whole(low) || !whole(high)) {
    return bad(where,
               "\"minimum\" and \"maximum\" are offered for integers, as whole numbers, only");
  }
  if (high == nullptr && *low->if_int64() == 0) {
    return rules_.shared("natural");
  }
  if (high == nullptr && *low->if_int64() == 1) {
    return rules_.shared("positive");
  }
  if (low == nullptr || high == nullptr) {
    return bad(where, "one bound alone must be \"minimum\" 0 or 1");
  }
  return integers(*low->if_int64(), *high->if_int64(), where);
}

Result<std::string> SchemaGrammar::integers(std::int64_t low, std::int64_t high, Where where) {
  constexpr std::int64_t kMost = 1000;
  if (high < low) {
    return bad(where, "\"maximum\" is less than \"minimum\"");
  }
  if (high - low > kMost) {
    return bad(where, "\"minimum\" and \"maximum\" are offered up to 1000 apart");
  }
  std::string body;
  for (std::int64_t value = low; value <= high; ++value) {
    body += (body.empty() ? "" : " | ") + quoted(std::to_string(value));
  }
  return rules_.add(body);
}

}  // namespace

Result<std::string> schema_grammar(std::string_view schema,
                                   std::string_view where,
                                   const SchemaLimits& limits) {
  const std::string name{where};
  if (schema.size() > limits.bytes) {
    return Error{Error::Code::kInvalidArgument,
                 name + ": a schema has at most " + std::to_string(limits.bytes) + " bytes"};
  }
  bj::parse_options options;
  options.max_depth = limits.depth * 2;
  boost::system::error_code ec;
  const bj::value document = bj::parse({schema.data(), schema.size()}, ec, {}, options);
  if (ec) {
    return Error{Error::Code::kInvalidArgument, name + ": is not JSON: " + ec.message()};
  }
  return SchemaGrammar{document, limits}.run(name);
}

std::string json_object_grammar() {
  schema::Rules rules;
  const std::string root = rules.shared("object");
  return rules.grammar(root);
}

std::string member_text(std::string_view document, const std::vector<std::string_view>& path) {
  boost::system::error_code ec;
  const bj::value parsed = bj::parse({document.data(), document.size()}, ec);
  const bj::value* at = ec ? nullptr : &parsed;
  for (const std::string_view key : path) {
    const bj::object* object = at == nullptr ? nullptr : at->if_object();
    at = object == nullptr ? nullptr : object->if_contains({key.data(), key.size()});
  }
  return at == nullptr ? std::string{} : bj::serialize(*at);
}

}  // namespace skerry::agent
