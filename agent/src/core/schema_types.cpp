// What each type's own keywords become.

#include <optional>

#include "schema_grammar.hpp"

namespace skerry::agent::schema {
namespace {

constexpr std::size_t kNameBytes = 256;

// A rule for the letters of a name is made for each of them, one within the other.
bool names_fit(const bj::object& properties) {
  return std::all_of(properties.begin(), properties.end(), [](const auto& member) {
    return member.key().size() <= kNameBytes;
  });
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

}  // namespace

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
  if (!names_fit(list)) {
    return bad(where, "names of properties have at most 256 bytes");
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

}  // namespace skerry::agent::schema
