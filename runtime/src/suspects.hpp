#pragma once

// Prompts that are suspected of killing the worker: the supervisor does not run such a one again
// for a while, whoever asks, so that a client that repeats it cannot keep a model down. Sans-I/O;
// one per model (ADR 0108).
//
// A worker that dies of itself (a crash, a hang, memory, garbage) with one request in the engine
// names the culprit. With several, each of them is one of two: who is there at a second death is
// refused too. A request that is answered to its end is cleared.

#include <chrono>
#include <cstddef>
#include <map>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"

namespace skerry::runtime {

class Suspects {
 public:
  // How long after the last death a culprit is refused and a suspicion lasts.
  static constexpr std::chrono::minutes kRefused{10};
  // More are forgotten, the oldest first.
  static constexpr std::size_t kMost = 256;

  // The worker died of itself with these requests in the engine; digests of their contents.
  void on_death(BootTime now, const std::vector<Digest>& begun);
  void on_answered(const Digest& content) { known_.erase(content); }
  // How long a request with this content is not to be run; zero: it may.
  [[nodiscard]] std::chrono::nanoseconds refused_for(BootTime now, const Digest& content) const;

 private:
  struct Record {
    int deaths = 0;  // kCulprit and more: refused
    BootTime until{0};
  };
  static constexpr int kCulprit = 2;

  void forget_oldest();

  std::map<Digest, Record> known_;
};

}  // namespace skerry::runtime
