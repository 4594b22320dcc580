#include "skerry/agent/unix_listener.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "skerry/async/sleep.hpp"

namespace skerry::agent {
namespace {

constexpr int kBacklog = 128;
constexpr std::chrono::milliseconds kExhaustedPause{200};

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof address.sun_path) {
    return Error{Error::Code::kInvalidArgument, "socket path too long: " + text};
  }
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

// Removes a socket that nobody listens on any more.
Result<void> clear_stale(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? Result<void>{} : errno_error(errno, path.string());
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error{Error::Code::kAlreadyExists, path.string() + " exists and is no socket"};
  }
  const UniqueFd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return Error{Error::Code::kAlreadyExists,
                 "another process listens on " + path.string() + "; stop it first"};
  }
  if (::unlink(path.c_str()) != 0) {
    return errno_error(errno, path.string());
  }
  return {};
}

}  // namespace

Result<UniqueFd> listen_unix(const std::filesystem::path& path, const SocketOwner& owner) {
  Result<sockaddr_un> address = address_of(path);
  if (!address) {
    return address.error();
  }
  if (Result<void> cleared = clear_stale(path, *address); !cleared) {
    return cleared.error();
  }
  UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket) {
    return errno_error(errno, "socket");
  }
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
    return errno_error(errno, path.string());
  }
  // Mode before listen: nobody can connect in between.
  if (::chmod(path.c_str(), owner.mode) != 0) {
    return errno_error(errno, path.string());
  }
  if (owner.gid >= 0 &&
      ::chown(path.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(owner.gid)) != 0) {
    return errno_error(errno, path.string());
  }
  if (::listen(socket.get(), kBacklog) != 0) {
    return errno_error(errno, path.string());
  }
  return socket;
}

Task<void> UnixListener::run() {
  namespace asio = boost::asio;
  asio::posix::stream_descriptor ready(co_await asio::this_coro::executor);
  ready.assign(::fcntl(listening_.get(), F_DUPFD_CLOEXEC, 0));
  while (true) {
    co_await ready.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    while (true) {
      UniqueFd socket{::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (!socket) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
          log_.warning("listen.exhausted",
                       {{"socket", name_}, {"error", std::generic_category().message(errno)}});
          co_await async::sleep_for(kExhaustedPause);
        }
        break;
      }
      Result<Caller> caller = peer_credentials(socket.get());
      if (!caller) {
        log_.warning("listen.no_credentials", caller.error());
        continue;
      }
      on_accept_(std::move(socket), *std::move(caller));
    }
  }
}

}  // namespace skerry::agent
