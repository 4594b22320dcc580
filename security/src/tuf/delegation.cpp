#include "skerry/security/tuf/delegation.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

#include "skerry/common/digest.hpp"

namespace skerry::security::tuf {

namespace {

// The bytes of the code point that `text` starts with; metadata is valid UTF-8, and other bytes
// count one by one.
std::size_t code_point_size(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t size = first < 0x80 ? 1U : first < 0xe0 ? 2U : first < 0xf0 ? 3U : 4U;
  return std::min(size, text.size());
}

// "[...]" at the start of `pattern` against the code point `one`. UTF-8 sorts by code point, so
// that ranges compare as text.
struct SetMatch {
  std::size_t pattern_size = 0;  // 0: there is no closing bracket, '[' is itself.
  bool matched = false;
};

SetMatch match_set(std::string_view pattern, std::string_view one) {
  std::size_t at = 1;
  const bool negated = at < pattern.size() && pattern[at] == '!';
  at += negated ? 1U : 0U;
  bool found = false;
  // A bracket in the first place is a member.
  for (bool first = true; at < pattern.size() && (first || pattern[at] != ']'); first = false) {
    const std::string_view low = pattern.substr(at, code_point_size(pattern.substr(at)));
    at += low.size();
    std::string_view high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      high = pattern.substr(at + 1, code_point_size(pattern.substr(at + 1)));
      at += 1 + high.size();
    }
    found = found || (low <= one && one <= high);
  }
  if (at >= pattern.size()) {
    return {};
  }
  return SetMatch{at + 1, found != negated};
}

// One path component. On a mismatch only the last '*' is tried again, one code point further.
bool matches_component(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    const std::string_view one = text.substr(t, code_point_size(text.substr(t)));
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
      continue;
    }
    std::size_t used = 0;
    if (p < pattern.size()) {
      const std::string_view rest = pattern.substr(p);
      const SetMatch set = rest.front() == '[' ? match_set(rest, one) : SetMatch{};
      if (set.pattern_size != 0) {
        used = set.matched ? set.pattern_size : 0;
      } else if (rest.front() == '?') {
        used = 1;
      } else if (rest.starts_with(one)) {
        used = one.size();
      }
    }
    if (used != 0) {
      p += used;
      t += one.size();
    } else if (star != std::string_view::npos) {
      retry += code_point_size(text.substr(retry));
      p = star + 1;
      t = retry;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// TAP 15: "<prefix>-<number>", the number in as many hexadecimal digits as the highest one has.
DelegatedRole bin_of(const SuccinctRoles& roles, std::string_view path) {
  const Digest digest = Digest::of(path);
  std::uint32_t head = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    head = head << 8U | digest.bytes()[i];
  }
  std::uint32_t number = head >> (32U - roles.bit_length);
  std::string digits((roles.bit_length + 3U) / 4U, '0');
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, number >>= 4U) {
    *digit = "0123456789abcdef"[number & 0x0fU];
  }
  DelegatedRole bin;
  bin.name = roles.name_prefix + "-" + digits;
  bin.keys = roles.keys;
  bin.terminating = true;
  return bin;
}

}  // namespace

bool matches_path_pattern(std::string_view pattern, std::string_view path) {
  while (true) {
    const std::size_t pattern_end = pattern.find('/');
    const std::size_t path_end = path.find('/');
    if ((pattern_end == std::string_view::npos) != (path_end == std::string_view::npos) ||
        !matches_component(pattern.substr(0, pattern_end), path.substr(0, path_end))) {
      return false;
    }
    if (pattern_end == std::string_view::npos) {
      return true;
    }
    pattern.remove_prefix(pattern_end + 1);
    path.remove_prefix(path_end + 1);
  }
}

bool covers(const DelegatedRole& role, std::string_view path) {
  const auto matches = [&](const std::string& pattern) {
    return matches_path_pattern(pattern, path);
  };
  if (std::any_of(role.paths.begin(), role.paths.end(), matches)) {
    return true;
  }
  if (role.path_hash_prefixes.empty()) {
    return false;
  }
  const std::string hash = Digest::of(path).hex();
  return std::any_of(role.path_hash_prefixes.begin(),
                     role.path_hash_prefixes.end(),
                     [&](const std::string& prefix) { return hash.starts_with(prefix); });
}

std::string first_stray(const DelegatedRole& role, const Targets& targets) {
  // A hash bin has no patterns: the hash of the path chose it.
  if (role.paths.empty() && role.path_hash_prefixes.empty()) {
    return {};
  }
  const auto stray = std::find_if(targets.targets.begin(),
                                  targets.targets.end(),
                                  [&](const auto& entry) { return !covers(role, entry.first); });
  return stray == targets.targets.end() ? std::string{} : stray->first;
}

std::vector<DelegatedRole> delegations_for(const Delegations& delegations, std::string_view path) {
  std::vector<DelegatedRole> out;
  if (delegations.succinct) {
    out.push_back(bin_of(*delegations.succinct, path));
  }
  for (const DelegatedRole& role : delegations.roles) {
    if (covers(role, path)) {
      out.push_back(role);
      if (role.terminating) {
        break;
      }
    }
  }
  return out;
}

}  // namespace skerry::security::tuf
