#include <cerrno>
#include <memory>
#include <sched.h>
#include <seccomp.h>
#include <string>
#include <unistd.h>

#include <sys/ioctl.h>

#include "layers.hpp"

// libseccomp's SCMP_* macros are compound literals.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif

namespace skerry::security::sandbox_detail {
namespace {

struct FreeFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FreeFilter>;

// What an inference engine and the C++ runtime do once everything is open: memory, threads, time,
// the descriptors they hold. Nothing that makes a descriptor out of a path or an address.
constexpr int kAllowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(fstatfs),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fcntl),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(shutdown),
    SCMP_SYS(eventfd2),
    SCMP_SYS(memfd_create),
    SCMP_SYS(pipe2),
    // memory
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(mincore),
    SCMP_SYS(msync),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(brk),
    SCMP_SYS(membarrier),
    SCMP_SYS(get_mempolicy),
    // threads; clone is restricted below
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(getcpu),
    SCMP_SYS(gettid),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(setpriority),
    SCMP_SYS(getpriority),
    // signals to itself
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    // time and self
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getrusage),
    SCMP_SYS(times),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrlimit),
};

// Paths answer EACCES, as they would under Landlock, since libraries handle that one well.
constexpr int kPaths[] = {
    SCMP_SYS(open),     SCMP_SYS(openat),    SCMP_SYS(openat2),    SCMP_SYS(creat),
    SCMP_SYS(access),   SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(stat),
    SCMP_SYS(lstat),    SCMP_SYS(statx),     SCMP_SYS(readlink),   SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),   SCMP_SYS(unlink),    SCMP_SYS(unlinkat),   SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir),      SCMP_SYS(mkdirat),
};

// No engine has an honest use for these: the process dies of SIGSYS and the supervisor says so.
constexpr int kDeadly[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(bpf),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
};

template <std::size_t n>
bool add_all(void* filter, std::uint32_t action, const int (&calls)[n]) {
  for (const int call : calls) {
    // A negative number is a call that this architecture does not have.
    if (call >= 0 && seccomp_rule_add(filter, action, call, 0) != 0) {
      return false;
    }
  }
  return true;
}

bool add_conditional(void* filter) {
  // Threads only.
  constexpr std::uint64_t kThread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
  const scmp_arg_cmp is_thread = SCMP_A0(SCMP_CMP_MASKED_EQ, kThread, kThread);
  const scmp_arg_cmp own_group = SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(getpid()));
  // prlimit64 and ioctl: reading one's own limits, asking whether a descriptor is a terminal.
  const scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, 0);
  const scmp_arg_cmp no_new_value = SCMP_A2(SCMP_CMP_EQ, 0);
  const scmp_arg_cmp terminal_query = SCMP_A1(SCMP_CMP_EQ, TCGETS);
  // PR_SET_NAME (15), PR_SET_VMA (0x53564d41): naming a thread or a mapping.
  const scmp_arg_cmp set_name = SCMP_A0(SCMP_CMP_EQ, 15);
  const scmp_arg_cmp set_vma = SCMP_A0(SCMP_CMP_EQ, 0x53564d41);
  // newfstatat serves fstat in new C libraries: only with AT_EMPTY_PATH.
  const scmp_arg_cmp by_fd = SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0x1000);
  const scmp_arg_cmp by_path = SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0);
  // clone3 hides its flags from the filter: the C library falls back to clone on ENOSYS.
  return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, is_thread) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, own_group) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, own_group) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, self, no_new_value) ==
             0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, terminal_query) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, set_name) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, set_vma) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1, by_fd) == 0 &&
         seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(newfstatat), 1, by_path) == 0;
}

bool fill(void* filter, const SandboxPolicy& policy) {
  if (!add_all(filter, SCMP_ACT_ALLOW, kAllowed) || !add_conditional(filter) ||
      !add_all(filter, SCMP_ACT_KILL_PROCESS, kDeadly)) {
    return false;
  }
  // With descriptors to open again, opening is left to Landlock.
  const bool reopens = !policy.reopen_read.empty() || !policy.reopen_write.empty();
  for (const int call : kPaths) {
    const bool opens = call == SCMP_SYS(open) || call == SCMP_SYS(openat);
    const std::uint32_t action = reopens && opens ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES);
    if (call >= 0 && seccomp_rule_add(filter, action, call, 0) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace

LayerOutcome apply_seccomp(const SandboxPolicy& policy) {
  constexpr SandboxLayer kLayer = SandboxLayer::kSeccomp;
  // Everything that is not named answers EPERM: sockets among it.
  const Filter filter{seccomp_init(SCMP_ACT_ERRNO(EPERM))};
  if (!filter || !fill(filter.get(), policy)) {
    return missing(kLayer, "the filter could not be built");
  }
  // Every thread of the process, also those that the engine has started.
  if (seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0) {
    return missing(kLayer, "the kernel cannot apply a filter to all threads");
  }
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  const int failed = seccomp_load(filter.get());
  if (failed != 0) {
    errno = -failed;
    return missing(kLayer, failure("seccomp_load"));
  }
  return done(kLayer);
}

}  // namespace skerry::security::sandbox_detail
