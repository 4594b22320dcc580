#include "skerry/agent/peer_table.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <utility>

#include <sys/resource.h>

namespace skerry::agent {

Result<UniqueFd> PeerTable::admit(UniqueFd socket, Caller caller) {
  // F_DUPFD takes the lowest free number from the floor on; the floor moves past each one taken.
  int moved = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, next_);
  if ((moved < 0 && (errno == EMFILE || errno == EINVAL)) || moved >= last_) {
    if (moved >= 0) {
      UniqueFd{moved}.reset();
    }
    moved = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, first_);
  }
  if (moved < 0 || moved >= last_) {
    const int cause = errno;
    if (moved >= 0) {
      UniqueFd{moved}.reset();
      return Error{Error::Code::kResourceExhausted, "every connection number is in use"};
    }
    return errno_error(cause, "F_DUPFD");
  }
  UniqueFd numbered{moved};
  next_ = moved + 1 < last_ ? moved + 1 : first_;
  const std::lock_guard lock{mutex_};
  callers_.insert_or_assign(moved, std::move(caller));
  return numbered;
}

Result<Caller> PeerTable::find(std::string_view peer) const {
  const Error unknown{Error::Code::kUnauthenticated,
                      "nobody is known behind \"" + std::string{peer} + "\""};
  if (!peer.starts_with("fd:")) {
    return unknown;
  }
  int fd = -1;
  const std::string_view digits = peer.substr(3);
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
  if (ec != std::errc{} || end != digits.data() + digits.size()) {
    return unknown;
  }
  const std::lock_guard lock{mutex_};
  const auto found = callers_.find(fd);
  if (found == callers_.end()) {
    return unknown;
  }
  return found->second;
}

int raise_file_limit(int wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 1024;
  }
  const rlim_t target = std::min<rlim_t>(static_cast<rlim_t>(wanted), limit.rlim_max);
  if (limit.rlim_cur < target) {
    limit.rlim_cur = target;
    // Failure leaves the old limit, which is read again below.
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      ::getrlimit(RLIMIT_NOFILE, &limit);
    }
  }
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1U << 20U));
}

}  // namespace skerry::agent
