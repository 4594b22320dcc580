#pragma once

// What a worker does to itself before it sees a byte of a model: gives up privileges, network,
// paths, most system calls and most resources. Each layer is tried on its own and the outcome is
// recorded, since kernels and containers differ; `requirement` says which must have worked. Used by
// skerry-worker (which applies it) and the supervisor and `skerry status` (which read the report).
//
// Links neither OpenSSL nor SQLite: the worker stays small.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::security {

// Values are written to the worker protocol and to reports: never renumbered.
enum class SandboxLayer : std::uint8_t {
  kNoNewPrivileges = 1,
  kNetworkNamespace = 2,  // no interface but an unconfigured loopback
  kUser = 3,              // a uid and gid of its own, no capabilities
  kLandlock = 4,          // no path can be opened
  kSeccomp = 5,           // allow-list of system calls
  kLimits = 6,            // address space, memory, files, processes, core dumps
  kNotDumpable = 7,       // no ptrace, no core, /proc entries owned by root
};

// "no_new_privs", "netns", "uid", "landlock", "seccomp", "rlimits", "undumpable".
std::string_view to_string(SandboxLayer layer) noexcept;
const std::vector<SandboxLayer>& all_sandbox_layers();

struct LayerOutcome {
  SandboxLayer layer = SandboxLayer::kNoNewPrivileges;
  bool achieved = false;
  // What was done ("abi 3"), or why it could not be ("unshare: Operation not permitted").
  std::string detail;

  friend bool operator==(const LayerOutcome&, const LayerOutcome&) = default;
};

struct SandboxReport {
  std::vector<LayerOutcome> layers;

  [[nodiscard]] bool achieved(SandboxLayer layer) const;
  // "no_new_privs netns landlock(abi 3) seccomp -uid(not root)": a minus marks what is missing.
  [[nodiscard]] std::string summary() const;

  friend bool operator==(const SandboxReport&, const SandboxReport&) = default;
};

// How much must have worked for a worker to be given a model.
enum class SandboxRequirement : std::uint8_t {
  kBestEffort = 0,  // whatever the machine gives
  kStandard = 1,    // no_new_privs, seccomp, rlimits, undumpable: any Linux, any user
  kStrict = 2,      // standard and landlock and netns
};

// "best_effort", "standard", "strict"; kInvalidArgument lists them.
std::string_view to_string(SandboxRequirement requirement) noexcept;
Result<SandboxRequirement> parse_sandbox_requirement(std::string_view text);

// kWorkerSetup names the layers that `requirement` asks for and the report lacks.
Result<void> check_requirement(const SandboxReport& report, SandboxRequirement requirement);

struct SandboxPolicy {
  // User to become if the process is root; 0 stays what it is.
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  // RLIMIT_AS and RLIMIT_DATA in bytes; 0 leaves them.
  std::uint64_t address_space_limit = 0;
  std::uint64_t data_limit = 0;
  std::uint32_t max_files = 64;
  // Descriptors whose inodes may be opened again through /proc/self/fd (engines that insist on a
  // path), for reading, and for writing as well.
  std::vector<int> reopen_read;
  std::vector<int> reopen_write;
};

// First half, while the process has one thread and before it loads foreign code: network
// namespace, user, no_new_privs. Blocks briefly; never fails as a whole.
SandboxReport restrict_early(const SandboxPolicy& policy);

// Second half, after the engine is loaded: not dumpable, limits, Landlock, seccomp. Applies to
// every thread of the process (TSYNC) and to those made later; appends its outcomes to `report`.
void restrict_late(const SandboxPolicy& policy, SandboxReport& report);

}  // namespace skerry::security
