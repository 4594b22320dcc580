#include "request_fields.hpp"

#include <cmath>
#include <limits>

namespace skerry::agent::fields {
namespace {

constexpr std::size_t kBodyDepth = 32;

}  // namespace

Error bad(std::string_view param, std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, std::string{param} + ": " + std::string{problem}};
}

const Json* given(const Json& body, std::string_view key) {
  const Json* value = body.find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool asked(const Json& body, std::string_view key) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return false;
  }
  if (value->is_bool()) {
    return *value == Json{true};
  }
  const bool empty = (value->array() != nullptr && value->array()->empty()) ||
                     (value->object() != nullptr && value->object()->empty()) ||
                     (value->string() != nullptr && value->string()->empty());
  return !empty;
}

Result<Json> parse_body(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = Json::parse(body, JsonLimits{max_bytes, kBodyDepth});
  if (!json) {
    return json.error();
  }
  if (!json->is_object()) {
    return Error{Error::Code::kParse, "the body must be a JSON object"};
  }
  return json;
}

Result<void> read_number(
    const Json& body, std::string_view key, double low, double high, double& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  Result<double> number = value->as_number();
  if (!number || !std::isfinite(*number) || *number < low || *number > high) {
    return bad(key,
               "must be a number from " + std::to_string(static_cast<int>(low)) + " to " +
                   std::to_string(static_cast<int>(high)));
  }
  out = *number;
  return {};
}

Result<void> read_int(const Json& body,
                      std::string_view key,
                      std::int64_t low,
                      std::int64_t high,
                      std::int64_t& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  Result<std::int64_t> number = value->as_int();
  if (!number || *number < low || *number > high) {
    return bad(
        key, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  out = *number;
  return {};
}

Result<void> read_count(const Json& body, std::string_view key, std::uint32_t& out) {
  std::int64_t number = out;
  if (Result<void> done = read_int(body, key, 1, 1 << 24, number); !done) {
    return done;
  }
  out = static_cast<std::uint32_t>(number);
  return {};
}

Result<void> read_flag(const Json& body, std::string_view key, bool& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  if (!value->is_bool()) {
    return bad(key, "must be true or false");
  }
  out = *value == Json{true};
  return {};
}

Result<void> read_text(const Json& body, std::string_view key, std::string& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  if (value->string() == nullptr) {
    return bad(key, "must be a string");
  }
  out = *value->string();
  return {};
}

Result<void> read_seed(const Json& body, std::optional<std::uint64_t>& out) {
  const Json* value = given(body, "seed");
  if (value == nullptr) {
    return {};
  }
  Result<std::int64_t> seed = value->as_int();
  if (!seed) {
    return bad("seed", "must be a whole number");
  }
  out = static_cast<std::uint64_t>(*seed);
  return {};
}

Result<void> read_stop(const Json& body, std::string_view key, std::vector<std::string>& out) {
  const Json* value = given(body, key);
  if (value == nullptr) {
    return {};
  }
  if (const std::string* one = value->string()) {
    out.push_back(*one);
  } else if (const Json::Array* list = value->array()) {
    for (const Json& entry : *list) {
      if (entry.string() == nullptr) {
        return bad(key, "must hold strings");
      }
      out.push_back(*entry.string());
    }
  } else {
    return bad(key, "must be a string or an array of strings");
  }
  if (out.size() > TextLimits::kStops) {
    return bad(key, "at most " + std::to_string(TextLimits::kStops) + " are taken");
  }
  for (const std::string& entry : out) {
    if (entry.empty() || entry.size() > TextLimits::kStopBytes) {
      return bad(key, "each must have 1 to " + std::to_string(TextLimits::kStopBytes) + " bytes");
    }
  }
  return {};
}

Result<std::string> read_model(const Json& body) {
  Result<std::string> model = body.get_string("model");
  if (!model || model->empty()) {
    return bad("model", "must name a slot or a model");
  }
  return model;
}

Result<std::string> read_parts(const Json& content,
                               const std::string& where,
                               std::span<const std::string_view> types) {
  if (const std::string* text = content.string()) {
    return *text;
  }
  const Json::Array* parts = content.array();
  if (parts == nullptr) {
    return bad(where, "must be a string or an array of parts");
  }
  std::string text;
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string part = where + "[" + std::to_string(i) + "]";
    Result<std::string> type = (*parts)[i].get_string("type");
    if (!type) {
      return bad(part + ".type", "must be a string");
    }
    bool known = false;
    for (const std::string_view one : types) {
      known = known || one == *type;
    }
    if (!known) {
      return bad(part + ".type", "this model reads text only, not \"" + *type + "\"");
    }
    Result<std::string> piece = (*parts)[i].get_string("text");
    if (!piece) {
      return bad(part + ".text", "must be a string");
    }
    text += *piece;
  }
  return text;
}

Result<void> refuse(const Json& body, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (asked(body, key)) {
      return bad(key, "is not offered by this server");
    }
  }
  return {};
}

Result<std::vector<std::int32_t>> read_tokens(const Json& value, const std::string& where) {
  const Json::Array* list = value.array();
  if (list == nullptr || list->empty() || list->size() > TextLimits::kTokens) {
    return bad(where,
               "must be an array of 1 to " + std::to_string(TextLimits::kTokens) + " tokens");
  }
  std::vector<std::int32_t> tokens;
  tokens.reserve(list->size());
  for (const Json& entry : *list) {
    Result<std::int64_t> token = entry.as_int();
    if (!token || *token < 0 || *token > std::numeric_limits<std::int32_t>::max()) {
      return bad(where, "a token must be a whole number that is not negative");
    }
    tokens.push_back(static_cast<std::int32_t>(*token));
  }
  return tokens;
}

}  // namespace skerry::agent::fields
