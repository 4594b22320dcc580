#include "cut_proxy.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <poll.h>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace skerry::bench {
namespace {

constexpr std::size_t kForwardPiece = 16U << 10U;
// What a narrow link holds: the kernel must not swallow chunks that the device has not seen.
constexpr int kLinkBuffer = 64 << 10;
constexpr int kPollMs = 1;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool send_all(int fd, const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    const auto count = ::send(fd, data, size, MSG_NOSIGNAL);
    if (count <= 0) {
      return false;
    }
    data += count;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<CutProxy>> CutProxy::start(int port, int target, std::uint64_t rate) {
  UniqueFd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(port);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0) {
    return errno_error(errno, "listening on 127.0.0.1:" + std::to_string(port));
  }
  std::unique_ptr<CutProxy> proxy{new CutProxy(std::move(listener), target, rate)};
  proxy->thread_ = std::thread{[raw = proxy.get()] { raw->run(); }};
  return proxy;
}

CutProxy::~CutProxy() {
  stopping_.store(true);
  if (thread_.joinable()) {
    thread_.join();
  }
}

void CutProxy::accept_one() {
  Pair pair;
  pair.device = UniqueFd{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  pair.controller = UniqueFd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ::setsockopt(pair.device.get(), SOL_SOCKET, SO_SNDBUF, &kLinkBuffer, sizeof kLinkBuffer);
  ::setsockopt(pair.controller.get(), SOL_SOCKET, SO_RCVBUF, &kLinkBuffer, sizeof kLinkBuffer);
  const auto address = loopback(target_);
  if (::connect(pair.controller.get(),
                reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == 0) {
    pairs_.push_back(std::move(pair));
  }
}

bool CutProxy::pump(Pair& pair, bool from_controller) {
  const int from = from_controller ? pair.controller.get() : pair.device.get();
  const int to = from_controller ? pair.device.get() : pair.controller.get();
  std::array<std::uint8_t, kForwardPiece> piece{};
  const auto count = ::recv(from, piece.data(), piece.size(), 0);
  if (count <= 0 || !send_all(to, piece.data(), static_cast<std::size_t>(count))) {
    return false;
  }
  if (from_controller) {
    const auto bytes = static_cast<std::uint64_t>(count);
    forwarded_ += bytes;
    std::this_thread::sleep_for(
        std::chrono::duration<double>{static_cast<double>(bytes) / static_cast<double>(rate_)});
  }
  return true;
}

void CutProxy::reset_all() {
  const linger now{1, 0};
  for (const auto& pair : pairs_) {
    for (const int fd : {pair.device.get(), pair.controller.get()}) {
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
  }
  pairs_.clear();
}

void CutProxy::run() {
  while (!stopping_.load()) {
    if (cut_.exchange(false)) {
      reset_all();
    }
    std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}};
    for (const auto& pair : pairs_) {
      waiting.push_back({pair.device.get(), POLLIN, 0});
      waiting.push_back({pair.controller.get(), POLLIN, 0});
    }
    if (::poll(waiting.data(), waiting.size(), kPollMs) <= 0) {
      continue;
    }
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      const bool up = waiting[1 + 2 * i].revents == 0 || pump(pairs_[i], false);
      const bool down = waiting[2 + 2 * i].revents == 0 || pump(pairs_[i], true);
      if (!up || !down) {
        pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (waiting[0].revents != 0) {
      accept_one();
    }
  }
  reset_all();
}

}  // namespace skerry::bench
