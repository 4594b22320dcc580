#pragma once

// The layers of the sandbox, one function each. Every function changes the calling process and
// tells how it went; none of them fails as a whole.

#include <string>
#include <utility>

#include "skerry/security/sandbox.hpp"

namespace skerry::security::sandbox_detail {

inline LayerOutcome done(SandboxLayer layer, std::string detail = {}) {
  return LayerOutcome{.layer = layer, .achieved = true, .detail = std::move(detail)};
}
inline LayerOutcome missing(SandboxLayer layer, std::string detail) {
  return LayerOutcome{.layer = layer, .achieved = false, .detail = std::move(detail)};
}
// "<what>: <strerror(errno)>"
std::string failure(std::string_view what);

LayerOutcome apply_network_namespace();
LayerOutcome apply_user(const SandboxPolicy& policy);
LayerOutcome apply_not_dumpable();
LayerOutcome apply_no_new_privileges();
LayerOutcome apply_limits(const SandboxPolicy& policy);
LayerOutcome apply_landlock(const SandboxPolicy& policy);
LayerOutcome apply_seccomp(const SandboxPolicy& policy);

}  // namespace skerry::security::sandbox_detail
