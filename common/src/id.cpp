#include "skerry/common/id.hpp"

namespace skerry {
namespace {

constexpr std::size_t kMaxName = 64;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

Error name_error(std::string_view name, std::string_view what, const std::string& problem) {
  return {Error::Code::kInvalidArgument,
          std::string{what} + " \"" + std::string{name.substr(0, kMaxName)} + "\": " + problem};
}

}  // namespace

Result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty() || name.size() > kMaxName) {
    return name_error(
        name, what, "must have 1 to 64 characters, has " + std::to_string(name.size()));
  }
  if (!is_alphanumeric(name.front())) {
    return name_error(name, what, "must start with a lower-case letter or a digit");
  }
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-') {
      return name_error(
          name, what, "character " + std::to_string(i + 1) + " is not one of a-z 0-9 . _ -");
    }
    if (c == '.' && i + 1 < name.size() && name[i + 1] == '.') {
      return name_error(name, what, "\"..\" is not allowed");
    }
  }
  return {};
}

}  // namespace skerry
