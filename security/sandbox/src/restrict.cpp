#include <cerrno>
#include <cstring>
#include <grp.h>
#include <sched.h>
#include <string>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "skerry/security/sandbox.hpp"

#include "layers.hpp"

namespace skerry::security {
namespace sandbox_detail {
namespace {

// capset(2) has no wrapper in glibc. Works for any process: it only gives up.
bool drop_capabilities() {
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  header.pid = 0;
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capset, &header, none) == 0;
}

}  // namespace

std::string failure(std::string_view what) {
  const int error_number = errno;
  char buffer[128] = {};
  return std::string{what} + ": " + strerror_r(error_number, buffer, sizeof buffer);
}

LayerOutcome apply_network_namespace() {
  constexpr SandboxLayer kLayer = SandboxLayer::kNetworkNamespace;
  if (unshare(CLONE_NEWNET) == 0) {
    return done(kLayer);
  }
  // Without CAP_SYS_ADMIN a user namespace gives it, where the machine lets users make one.
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
    return done(kLayer, "through a user namespace");
  }
  return missing(kLayer, failure("unshare"));
}

LayerOutcome apply_user(const SandboxPolicy& policy) {
  constexpr SandboxLayer kLayer = SandboxLayer::kUser;
  // Root may, and so may a service that was left CAP_SETUID and CAP_SETGID for this one purpose.
  const bool became = policy.uid != 0 && setgroups(0, nullptr) == 0 &&
                      setresgid(policy.gid, policy.gid, policy.gid) == 0 &&
                      setresuid(policy.uid, policy.uid, policy.uid) == 0;
  const std::string why = failure("setresuid");
  if (!drop_capabilities()) {
    return missing(kLayer, failure("capset"));
  }
  if (became || geteuid() != 0) {
    return done(kLayer, "uid " + std::to_string(geteuid()));
  }
  return missing(kLayer,
                 policy.uid == 0 ? "root without capabilities, no user is configured" : why);
}

LayerOutcome apply_not_dumpable() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return missing(SandboxLayer::kNotDumpable, failure("prctl"));
  }
  return done(SandboxLayer::kNotDumpable);
}

LayerOutcome apply_no_new_privileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return missing(SandboxLayer::kNoNewPrivileges, failure("prctl"));
  }
  return done(SandboxLayer::kNoNewPrivileges);
}

}  // namespace sandbox_detail

SandboxReport restrict_early(const SandboxPolicy& policy) {
  SandboxReport report;
  report.layers.push_back(sandbox_detail::apply_network_namespace());
  report.layers.push_back(sandbox_detail::apply_user(policy));
  report.layers.push_back(sandbox_detail::apply_no_new_privileges());
  return report;
}

void restrict_late(const SandboxPolicy& policy, SandboxReport& report) {
  // Not dumpable comes after the engine is loaded: it makes /proc/self unreadable for non-root.
  report.layers.push_back(sandbox_detail::apply_not_dumpable());
  report.layers.push_back(sandbox_detail::apply_limits(policy));
  report.layers.push_back(sandbox_detail::apply_landlock(policy));
  // Last, since it forbids the calls that the others need.
  report.layers.push_back(sandbox_detail::apply_seccomp(policy));
}

}  // namespace skerry::security
