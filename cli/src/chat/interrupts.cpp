#include "interrupts.hpp"

#include <array>
#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>
#include <utility>

#include <sys/eventfd.h>
#include <sys/signalfd.h>

namespace skerry::cli {

Result<std::unique_ptr<Interrupts>> Interrupts::make() {
  std::unique_ptr<Interrupts> made{new Interrupts};
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  if (const int failed = pthread_sigmask(SIG_BLOCK, &interrupt, &made->before_); failed != 0) {
    return errno_error(failed, "pthread_sigmask");
  }
  made->fd_ = UniqueFd{::signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!made->fd_.valid()) {
    return errno_error(errno, "signalfd");
  }
  return made;
}

Interrupts::~Interrupts() {
  while (fd_.valid() && take()) {
  }
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool Interrupts::take() {
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info);
}

OnInterrupt::OnInterrupt(Interrupts& interrupts, std::function<void()> act)
    : stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!stop_.valid()) {
    return;
  }
  thread_ = std::thread{[&interrupts, act = std::move(act), stop = stop_.get()] {
    std::array<pollfd, 2> waited{pollfd{interrupts.fd(), POLLIN, 0}, pollfd{stop, POLLIN, 0}};
    while (::poll(waited.data(), waited.size(), -1) < 0 && errno == EINTR) {
    }
    if (waited[1].revents == 0 && interrupts.take()) {
      act();
    }
  }};
}

OnInterrupt::~OnInterrupt() {
  if (!thread_.joinable()) {
    return;
  }
  const std::uint64_t one = 1;
  // An eventfd takes eight bytes unless its count is full, which one write does not fill.
  while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

}  // namespace skerry::cli
