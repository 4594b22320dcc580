#include <cerrno>
#include <cstdint>
#include <string>
#include <unistd.h>

#include <sys/syscall.h>

#include "skerry/common/unique_fd.hpp"

#include "layers.hpp"

namespace skerry::security::sandbox_detail {
namespace {

// The kernel's ABI (Documentation/userspace-api/landlock.rst), spelled out: the headers of the
// build machine may be older than the kernel of the gateway.
constexpr std::uint64_t kWriteFile = 1U << 1U;
constexpr std::uint64_t kReadFile = 1U << 2U;
constexpr std::uint64_t kTruncate = 1U << 14U;
constexpr std::uint64_t kAccessAbi1 = (1U << 13U) - 1;
constexpr std::uint64_t kAccessAbi2 = kAccessAbi1 | (1U << 13U);  // refer
constexpr std::uint64_t kAccessAbi3 = kAccessAbi2 | kTruncate;
constexpr std::uint64_t kAccessAbi5 = kAccessAbi3 | (1U << 15U);  // ioctl on devices
constexpr std::uint64_t kNetworkAbi4 = 3;                         // bind, connect TCP
constexpr std::uint64_t kScopedAbi6 = 3;                          // abstract sockets, signals
constexpr std::uint32_t kVersionFlag = 1;
constexpr int kRulePathBeneath = 1;

struct RulesetAttribute {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

struct [[gnu::packed]] PathBeneathAttribute {
  std::uint64_t allowed_access = 0;
  std::int32_t parent_fd = -1;
};

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

RulesetAttribute deny_all(long abi) {
  RulesetAttribute attribute;
  attribute.handled_access_fs = kAccessAbi1;
  if (abi >= 2) {
    attribute.handled_access_fs = kAccessAbi2;
  }
  if (abi >= 3) {
    attribute.handled_access_fs = kAccessAbi3;
  }
  if (abi >= 4) {
    attribute.handled_access_net = kNetworkAbi4;
  }
  if (abi >= 5) {
    attribute.handled_access_fs = kAccessAbi5;
  }
  if (abi >= 6) {
    attribute.scoped = kScopedAbi6;
  }
  return attribute;
}

bool allow(int ruleset, int fd, std::uint64_t access) {
  PathBeneathAttribute rule;
  rule.allowed_access = access;
  rule.parent_fd = fd;
  if (syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) == 0) {
    return true;
  }
  // Files without a path in any mount (memfd) are outside Landlock's reach and need no rule.
  return errno == EBADFD;
}

}  // namespace

LayerOutcome apply_landlock(const SandboxPolicy& policy) {
  constexpr SandboxLayer kLayer = SandboxLayer::kLandlock;
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  if (abi < 1) {
    return missing(kLayer, failure("not offered by this kernel"));
  }
  const RulesetAttribute attribute = deny_all(abi);
  std::size_t size = sizeof attribute.handled_access_fs;
  if (abi >= 4) {
    size += sizeof attribute.handled_access_net;
  }
  if (abi >= 6) {
    size = sizeof attribute;
  }
  const UniqueFd ruleset{
      static_cast<int>(syscall(SYS_landlock_create_ruleset, &attribute, size, 0))};
  if (!ruleset) {
    return missing(kLayer, failure("landlock_create_ruleset"));
  }
  const std::uint64_t write = (kReadFile | kWriteFile | kTruncate) & attribute.handled_access_fs;
  for (const int fd : policy.reopen_read) {
    if (!allow(ruleset.get(), fd, kReadFile)) {
      return missing(kLayer, failure("landlock_add_rule"));
    }
  }
  for (const int fd : policy.reopen_write) {
    if (!allow(ruleset.get(), fd, write)) {
      return missing(kLayer, failure("landlock_add_rule"));
    }
  }
  // Applies to this thread and those it starts; threads that an engine already started keep their
  // paths and have seccomp alone, which is why engines get their threads at load.
  if (syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return missing(kLayer, failure("landlock_restrict_self"));
  }
  return done(kLayer, "abi " + std::to_string(abi));
}

}  // namespace skerry::security::sandbox_detail
