#include <algorithm>
#include <initializer_list>
#include <string>

#include <sys/resource.h>

#include "layers.hpp"

// The shadow memory of a sanitizer is charged to the process: memory limits cannot be applied under
// one.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKERRY_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SKERRY_SANITIZED 1
#endif
#endif

namespace skerry::security::sandbox_detail {
namespace {

#ifdef SKERRY_SANITIZED
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

bool lower_limit(__rlimit_resource_t resource, rlim_t value) {
  rlimit limit{};
  if (getrlimit(resource, &limit) != 0) {
    return false;
  }
  value = std::min(value, limit.rlim_max);
  limit.rlim_cur = value;
  limit.rlim_max = value;
  return setrlimit(resource, &limit) == 0;
}

}  // namespace

LayerOutcome apply_limits(const SandboxPolicy& policy) {
  constexpr SandboxLayer kLayer = SandboxLayer::kLimits;
  bool ok = lower_limit(RLIMIT_CORE, 0) && lower_limit(RLIMIT_NOFILE, policy.max_files);
  std::string detail;
  if (!kSanitized) {
    if (policy.address_space_limit != 0) {
      ok = ok && lower_limit(RLIMIT_AS, policy.address_space_limit);
    }
    if (policy.data_limit != 0) {
      ok = ok && lower_limit(RLIMIT_DATA, policy.data_limit);
      detail = "data " + std::to_string(policy.data_limit >> 20U) + " MiB";
    }
  } else {
    detail = "no memory limit in a sanitizer build";
  }
  return ok ? done(kLayer, std::move(detail)) : missing(kLayer, failure("setrlimit"));
}

}  // namespace skerry::security::sandbox_detail
