#include "strict_object.hpp"

#include <algorithm>
#include <utility>

namespace skerry::security {
namespace {

bool is_clean_text(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

}  // namespace

StrictObject::StrictObject(const Json& value, std::string path, Error::Code code)
    : value_(value), path_(std::move(path)), code_(code) {
  if (!value_.is_object()) {
    error_ = Error{code_, path_.empty() ? "expected an object" : path_ + ": expected an object"};
  }
}

std::string StrictObject::where(std::string_view key) const {
  return path_.empty() ? std::string{key} : path_ + "." + std::string{key};
}

void StrictObject::fail(std::string_view key, std::string_view message) {
  if (!error_) {
    error_ = Error{code_, where(key) + ": " + std::string{message}};
  }
}

bool StrictObject::has(std::string_view key) const {
  return value_.find(key) != nullptr;
}

const Json* StrictObject::find(std::string_view key, bool required) {
  known_.emplace_back(key);
  const Json* found = value_.find(key);
  if (found == nullptr && required) {
    fail(key, "missing");
  }
  return found;
}

std::string StrictObject::text(std::string_view key, std::size_t most, bool required) {
  const Json* found = find(key, required);
  if (found == nullptr) {
    return {};
  }
  const std::string* text = found->string();
  if (text == nullptr || text->empty() || text->size() > most || !is_clean_text(*text)) {
    fail(key, "expected a text of 1 to " + std::to_string(most) + " bytes");
    return {};
  }
  return *text;
}

std::int64_t StrictObject::number(std::string_view key,
                                  std::int64_t least,
                                  std::int64_t most,
                                  bool required) {
  const Json* found = find(key, required);
  if (found == nullptr) {
    return least;
  }
  const auto value = found->as_int();
  if (!value || *value < least || *value > most) {
    fail(key,
         "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return least;
  }
  return *value;
}

std::vector<std::string> StrictObject::texts(std::string_view key,
                                             std::size_t most,
                                             std::size_t longest,
                                             bool required) {
  const Json* found = find(key, required);
  if (found == nullptr) {
    return {};
  }
  std::vector<std::string> out;
  const Json::Array* array = found->array();
  bool good = array != nullptr && !array->empty() && array->size() <= most;
  for (std::size_t i = 0; good && i < array->size(); ++i) {
    const std::string* text = (*array)[i].string();
    good = text != nullptr && !text->empty() && text->size() <= longest && is_clean_text(*text);
    if (good) {
      out.push_back(*text);
    }
  }
  if (!good) {
    fail(key,
         "expected 1 to " + std::to_string(most) + " texts of 1 to " + std::to_string(longest) +
             " bytes");
    return {};
  }
  return out;
}

const Json::Array& StrictObject::array(std::string_view key, std::size_t most) {
  static const Json::Array nothing;
  const Json* found = find(key, true);
  if (found == nullptr) {
    return nothing;
  }
  const Json::Array* array = found->array();
  if (array == nullptr || array->size() > most) {
    fail(key, "expected an array of at most " + std::to_string(most) + " entries");
    return nothing;
  }
  return *array;
}

Result<void> StrictObject::finish() {
  if (!error_ && value_.object() != nullptr) {
    for (const auto& [key, ignored] : *value_.object()) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        std::string names;
        for (const std::string& name : known_) {
          names += (names.empty() ? "" : ", ") + name;
        }
        fail(key, "unknown member; known are " + names);
        break;
      }
    }
  }
  if (error_) {
    return *error_;
  }
  return {};
}

}  // namespace skerry::security
