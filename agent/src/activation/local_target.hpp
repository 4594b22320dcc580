#pragma once

// Which targets are imported models of this gateway: those of the team "local", which no director
// may name. Used by the slots and their drivers.

#include <string_view>

namespace skerry::agent {

inline bool is_local_target(std::string_view target) {
  return target.starts_with("models/local/");
}

}  // namespace skerry::agent
