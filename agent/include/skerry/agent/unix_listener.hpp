#pragma once

// A listening Unix socket that learns who connects: accepts, reads the peer's credentials, hands
// socket and caller on. The gRPC and HTTP front ends each run one per path.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/agent/caller.hpp"
#include "skerry/async/task.hpp"
#include "skerry/common/log.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::agent {

struct SocketOwner {
  // -1: the process's own.
  std::int64_t gid = -1;
  std::uint32_t mode = 0666;
};

// Binds and listens. A stale socket file (nobody listens there) is replaced; kAlreadyExists if
// another process answers on it, or if the path is something else than a socket.
Result<UniqueFd> listen_unix(const std::filesystem::path& path, const SocketOwner& owner);

class UnixListener {
 public:
  using OnAccept = std::function<void(UniqueFd socket, Caller caller)>;

  UnixListener(std::string name, UniqueFd listening, OnAccept on_accept, Log log)
      : name_(std::move(name)),
        listening_(std::move(listening)),
        on_accept_(std::move(on_accept)),
        log_(std::move(log)) {}

  // Accepts until cancelled. Out of descriptors: waits and tries again.
  Task<void> run();

 private:
  std::string name_;
  UniqueFd listening_;
  OnAccept on_accept_;
  Log log_;
};

}  // namespace skerry::agent
