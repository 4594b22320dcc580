#pragma once

// Ctrl-C as something that can be waited for. While an `Interrupts` lives, SIGINT ends nothing: it
// makes `fd()` readable. Made before threads are started, since they inherit the mask.

#include <csignal>
#include <functional>
#include <memory>
#include <thread>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::cli {

class Interrupts {
 public:
  static Result<std::unique_ptr<Interrupts>> make();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // For poll.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Ctrl-C was pressed since the last call.
  bool take();

 private:
  Interrupts() = default;

  sigset_t before_{};
  UniqueFd fd_;
};

// Calls `act`, on a thread of its own, at the first Ctrl-C while it lives.
class OnInterrupt {
 public:
  OnInterrupt(Interrupts& interrupts, std::function<void()> act);
  ~OnInterrupt();
  OnInterrupt(const OnInterrupt&) = delete;
  OnInterrupt& operator=(const OnInterrupt&) = delete;

 private:
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace skerry::cli
