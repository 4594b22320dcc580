#include "skerry/agent/json_schema.hpp"

#include <optional>

#include <boost/json/parse.hpp>

#include "schema_grammar.hpp"

namespace skerry::agent {
namespace schema {
namespace {

// What is read below; anything else is refused by name.
constexpr std::array<std::string_view, 20> kTaken{
    "type",        "properties", "required",  "additionalProperties",
    "enum",        "const",      "items",     "minItems",
    "maxItems",    "minLength",  "maxLength", "anyOf",
    "oneOf",       "allOf",      "$ref",      "$defs",
    "definitions", "format",     "minimum",   "maximum"};
constexpr std::array<std::string_view, 7> kSchemaTypes{
    "object", "array", "string", "number", "integer", "boolean", "null"};

const bj::value* member(const bj::value& schema, std::string_view name) {
  return schema.is_object() ? schema.get_object().if_contains(name) : nullptr;
}

std::string single_type(const bj::value& schema) {
  const bj::value* found = member(schema, "type");
  return found != nullptr && found->is_string() ? std::string{text_of(found->get_string())} : "";
}

// Equal texts for equal values; none for lists and objects, whose texts may differ all the same.
std::optional<std::string> constant_text(const bj::value& value) {
  if (value.is_structured()) {
    return std::nullopt;
  }
  if (value.is_number()) {
    return bj::serialize(bj::value(value.to_number<double>() + 0.0));  // 1 is 1.0, and 0 is -0.0
  }
  return bj::serialize(value);
}

// The required properties that have one value only, with it.
std::map<std::string, std::string> required_constants(const bj::value& schema) {
  std::map<std::string, std::string> found;
  const bj::value* properties = member(schema, "properties");
  const bj::value* required = member(schema, "required");
  if (properties == nullptr || required == nullptr || !required->is_array()) {
    return found;
  }
  for (const bj::value& name : required->get_array()) {
    const std::string key = name.is_string() ? std::string{text_of(name.get_string())} : "";
    const bj::value* property = member(*properties, key);
    const bj::value* constant = property == nullptr ? nullptr : member(*property, "const");
    // A name may come twice, and a value may be long.
    if (constant != nullptr && !found.contains(key)) {
      if (std::optional<std::string> text = constant_text(*constant)) {
        found.emplace(key, *std::move(text));
      }
    }
  }
  return found;
}

// Whether no value can fit both schemas, as far as can be seen.
bool never_both(const bj::value& one, const bj::value& other) {
  const std::string first = single_type(one);
  const std::string second = single_type(other);
  if (first.empty() || second.empty()) {
    return false;
  }
  if (first != second) {
    // A whole number is a number.
    return !(first == "number" && second == "integer") &&
           !(first == "integer" && second == "number");
  }
  const std::map<std::string, std::string> left = required_constants(one);
  const std::map<std::string, std::string> right = required_constants(other);
  return first == "object" && std::any_of(left.begin(), left.end(), [&](const auto& constant) {
           const auto twin = right.find(constant.first);
           return twin != right.end() && twin->second != constant.second;
         });
}

}  // namespace

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
  constexpr std::size_t kMost = 64;
  if (list.size() > kMost) {
    return bad(where, "at most 64 alternatives are offered");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!never_both(list[i], list[j])) {
        return bad(where,
                   "alternatives must differ in \"type\", or be objects that differ in the "
                   "\"const\" of a required property; \"anyOf\" takes any");
      }
    }
  }
  return {};
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

}  // namespace schema

namespace bj = boost::json;

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
  return schema::SchemaGrammar{document, limits}.run(name);
}

std::string json_object_grammar() {
  schema::Rules rules;
  const std::string root = rules.shared("object");
  return rules.grammar(root);
}

Result<AnswerFormat> schema_format(std::string_view schema, std::string_view where) {
  Result<std::string> grammar = schema_grammar(schema, where);
  if (!grammar) {
    return grammar.error();
  }
  AnswerFormat format;
  format.grammar = *std::move(grammar);
  format.response_format =
      R"({"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":)" +
      std::string{schema} + "}}";
  return format;
}

AnswerFormat json_object_format() {
  return {json_object_grammar(), R"({"type":"json_object"})"};
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
