#pragma once

// A link that can be cut: forwards TCP connections to an address on loopback at a limited rate,
// counts the bytes towards the device, and resets every connection when told to. One thread.

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::bench {

class CutProxy {
 public:
  // Listens on 127.0.0.1:`port` and forwards to 127.0.0.1:`target`, at most `rate` bytes per second
  // towards the device.
  static Result<std::unique_ptr<CutProxy>> start(int port, int target, std::uint64_t rate);
  ~CutProxy();
  CutProxy(const CutProxy&) = delete;
  CutProxy& operator=(const CutProxy&) = delete;

  // Bytes that were written to the device's side so far, TLS and HTTP/2 included.
  [[nodiscard]] std::uint64_t forwarded() const { return forwarded_.load(); }
  // Resets every connection; those that come later are forwarded again. Thread-safe.
  void cut() { cut_.store(true); }

 private:
  struct Pair {
    UniqueFd device;
    UniqueFd controller;
  };
  CutProxy(UniqueFd listener, int target, std::uint64_t rate)
      : listener_(std::move(listener)), target_(target), rate_(rate) {}
  void run();
  void accept_one();
  // False when the pair is over.
  bool pump(Pair& pair, bool from_controller);
  void reset_all();

  UniqueFd listener_;
  int target_;
  std::uint64_t rate_;
  std::vector<Pair> pairs_;
  std::atomic<std::uint64_t> forwarded_{0};
  std::atomic<bool> cut_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace skerry::bench
