#pragma once

// certificates/authorities.json: the fleet's authorities over the years, as text
// (docs/formats/controller.md). No keys are opened here; `Authorities` does that. Fuzz target
// `authorities`.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/controller/authorities.hpp"

namespace skerry::controller {

struct AuthorityListLimits {
  static constexpr std::size_t kBytes = 1U << 20U;
  static constexpr std::size_t kAuthorities = 256;
};

struct AuthorityEntry {
  std::uint32_t generation = 0;
  AuthorityState state = AuthorityState::kIssuing;
  std::string key_uri;
  security::Certificate certificate;
  // Its key, signed by the authority before it.
  std::optional<security::Certificate> cross;
};

// Oldest first; the last one issues and no other does. kParse says which entry and what is wrong
// with it.
Result<std::vector<AuthorityEntry>> parse_authorities(std::string_view text);
std::string serialise_authorities(const std::vector<AuthorityEntry>& entries);

}  // namespace skerry::controller
