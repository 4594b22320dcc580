#include "object_reader.hpp"

#include <cmath>

namespace skerry::registry {

void Failure::set(const std::string& path, std::string_view why) {
  if (!error_) {
    error_ = Error{code_, prefix_ + ": " + (path.empty() ? "" : path + ": ") + std::string{why}};
  }
}

ObjectReader::ObjectReader(const Json* value, std::string path, Failure& failure)
    : path_(std::move(path)), failure_(failure) {
  static const Json::Object none;
  members_ = &none;
  if (value == nullptr || !value->is_object()) {
    failure_.set(path_, "must be an object");
    return;
  }
  members_ = value->object();
}

std::string ObjectReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string{key} : path_ + "." + std::string{key};
}

void ObjectReader::fail(std::string_view key, std::string_view why) {
  failure_.set(path_of(key), why);
}

bool ObjectReader::has(std::string_view key) const {
  return members_->find(key) != members_->end();
}

const Json* ObjectReader::member(std::string_view key, bool required) {
  known_.emplace(key);
  const auto found = members_->find(key);
  if (found == members_->end()) {
    if (required) {
      fail(key, "is missing");
    }
    return nullptr;
  }
  return &found->second;
}

std::string ObjectReader::text(std::string_view key, std::size_t limit, bool required) {
  const Json* value = member(key, required);
  if (value == nullptr) {
    return {};
  }
  const std::string* text = value->string();
  if (text == nullptr) {
    fail(key, "must be a string");
    return {};
  }
  if (text->size() > limit) {
    fail(key, "is longer than " + std::to_string(limit) + " bytes");
    return {};
  }
  return *text;
}

std::int64_t ObjectReader::integer(std::string_view key,
                                   std::int64_t min,
                                   std::int64_t max,
                                   std::optional<std::int64_t> fallback) {
  const Json* value = member(key, !fallback);
  if (value == nullptr) {
    return fallback.value_or(min);
  }
  const auto number = value->is_int() ? value->as_int() : Result<std::int64_t>{0};
  if (!value->is_int() || !number || *number < min || *number > max) {
    fail(key, "must be an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }
  return *number;
}

double ObjectReader::number(std::string_view key, double min, double max, double fallback) {
  const Json* value = member(key, false);
  if (value == nullptr) {
    return fallback;
  }
  const auto number = value->as_number();
  if (!number || !std::isfinite(*number) || *number < min || *number > max) {
    fail(key, "must be a number from " + Json{min}.dump() + " to " + Json{max}.dump());
    return fallback;
  }
  return *number;
}

Digest ObjectReader::digest(std::string_view key) {
  const auto text = this->text(key, 128);
  if (failure_.failed()) {
    return {};
  }
  auto digest = Digest::parse(text);
  if (!digest) {
    fail(key, digest.error().message());
    return {};
  }
  return *digest;
}

const std::vector<Json>& ObjectReader::array(std::string_view key,
                                             std::size_t limit,
                                             bool required) {
  static const std::vector<Json> none;
  const Json* value = member(key, required);
  if (value == nullptr) {
    return none;
  }
  if (!value->is_array()) {
    fail(key, "must be an array");
    return none;
  }
  if (value->array()->size() > limit) {
    fail(key, "has more than " + std::to_string(limit) + " elements");
    return none;
  }
  return *value->array();
}

std::vector<std::string> ObjectReader::texts(std::string_view key,
                                             std::size_t limit,
                                             std::size_t text_limit) {
  std::vector<std::string> out;
  for (const Json& element : array(key, limit, false)) {
    const std::string* text = element.string();
    if (text == nullptr || text->empty() || text->size() > text_limit) {
      fail(std::string{key} + "[" + std::to_string(out.size()) + "]",
           "must be a string of 1 to " + std::to_string(text_limit) + " bytes");
      return {};
    }
    out.push_back(*text);
  }
  return out;
}

void ObjectReader::finish() {
  for (const auto& [key, value] : *members_) {
    if (known_.find(key) == known_.end()) {
      fail(std::string_view{key}.substr(0, 64), "is not a known member");
      return;
    }
  }
}

}  // namespace skerry::registry
