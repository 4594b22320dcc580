#include "skerry/registry/semantic_version.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace skerry::registry {
namespace {

constexpr std::size_t kMaxLength = 64;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_identifier(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

Error bad_version(std::string_view text, std::string_view why) {
  return Error{Error::Code::kParse,
               "version \"" + std::string{text.substr(0, kMaxLength)} + "\": " + std::string{why}};
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || text.empty()) {
    return std::nullopt;
  }
  return value;
}

bool is_numeric(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_digit);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(at + 1);
  }
}

std::strong_ordering compare_identifier(const std::string& a, const std::string& b) {
  const bool a_numeric = is_numeric(a);
  const bool b_numeric = is_numeric(b);
  if (a_numeric != b_numeric) {
    // SemVer 11.4.3: numeric identifiers have lower precedence.
    return a_numeric ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (a_numeric && a.size() != b.size()) {
    return a.size() <=> b.size();  // no leading zeros, so the longer one is greater
  }
  return a.compare(b) <=> 0;
}

}  // namespace

Result<SemanticVersion> SemanticVersion::parse(std::string_view text) {
  if (text.empty() || text.size() > kMaxLength) {
    return bad_version(text, "must have 1 to 64 characters");
  }
  const auto dash = text.find('-');
  const auto numbers = split(text.substr(0, dash), '.');
  if (numbers.size() != 3) {
    return bad_version(text, "must be three numbers like 1.2.0");
  }
  SemanticVersion version;
  const std::array<std::uint32_t*, 3> fields{&version.major_, &version.minor_, &version.patch_};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto value = parse_number(numbers[i]);
    if (!value || !is_numeric(numbers[i])) {
      return bad_version(text, "\"" + std::string{numbers[i]} + "\" is not a number");
    }
    if (numbers[i].size() > 1 && numbers[i].front() == '0') {
      return bad_version(text, "a number has a leading zero");
    }
    *fields[i] = *value;
  }
  if (dash == std::string_view::npos) {
    return version;
  }
  for (const auto part : split(text.substr(dash + 1), '.')) {
    if (part.empty() || !std::all_of(part.begin(), part.end(), is_identifier)) {
      return bad_version(text, "the pre-release part must be [0-9A-Za-z-] joined by dots");
    }
    if (is_numeric(part) && part.size() > 1 && part.front() == '0') {
      return bad_version(text, "a pre-release number has a leading zero");
    }
    version.pre_release_.emplace_back(part);
  }
  return version;
}

Result<SemanticVersion> SemanticVersion::parse_loose(std::string_view text) {
  if (text.size() > kMaxLength) {
    return bad_version(text, "must have 1 to 64 characters");
  }
  std::string_view rest = text.substr(0, text.find('+'));
  if (!rest.empty() && (rest.front() == 'v' || rest.front() == 'V')) {
    rest.remove_prefix(1);
  }
  const auto dash = rest.find('-');
  std::string full{rest.substr(0, dash)};
  for (auto dots = std::count(full.begin(), full.end(), '.'); dots < 2; ++dots) {
    full += ".0";
  }
  if (dash != std::string_view::npos) {
    full += rest.substr(dash);
  }
  auto version = parse(full);
  if (!version) {
    return bad_version(text, "cannot be read as numbers joined by dots");
  }
  return version;
}

std::string SemanticVersion::to_string() const {
  std::string text =
      std::to_string(major_) + "." + std::to_string(minor_) + "." + std::to_string(patch_);
  char separator = '-';
  for (const auto& part : pre_release_) {
    text += separator + part;
    separator = '.';
  }
  return text;
}

std::strong_ordering operator<=>(const SemanticVersion& a, const SemanticVersion& b) {
  if (const auto order = a.major_ <=> b.major_; order != 0) {
    return order;
  }
  if (const auto order = a.minor_ <=> b.minor_; order != 0) {
    return order;
  }
  if (const auto order = a.patch_ <=> b.patch_; order != 0) {
    return order;
  }
  if (a.pre_release_.empty() != b.pre_release_.empty()) {
    return a.pre_release_.empty() ? std::strong_ordering::greater : std::strong_ordering::less;
  }
  const auto shared = std::min(a.pre_release_.size(), b.pre_release_.size());
  for (std::size_t i = 0; i < shared; ++i) {
    if (const auto order = compare_identifier(a.pre_release_[i], b.pre_release_[i]); order != 0) {
      return order;
    }
  }
  return a.pre_release_.size() <=> b.pre_release_.size();
}

}  // namespace skerry::registry
