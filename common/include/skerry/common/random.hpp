#pragma once

// The randomness seam: nonces, tokens, jitter. Components take a `Random&`; tests pass
// `FakeRandom`.

#include <cstdint>
#include <span>
#include <string>

#include "skerry/common/bytes.hpp"

namespace skerry {

class Random {
 public:
  virtual ~Random() = default;
  // Fills `out`. Thread-safe. Aborts the process if the kernel gives no randomness (it always does
  // after boot).
  virtual void fill(std::span<std::uint8_t> out) = 0;

  // Uniform in [0, bound); bound must be > 0.
  std::uint64_t below(std::uint64_t bound);
  // `bytes` random bytes in hexadecimal.
  std::string hex(std::size_t bytes);
};

// getrandom(2).
class SystemRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override;
};

// A repeatable sequence (splitmix64). Not thread-safe.
class FakeRandom final : public Random {
 public:
  explicit FakeRandom(std::uint64_t seed) : state_(seed) {}
  void fill(std::span<std::uint8_t> out) override;

 private:
  std::uint64_t state_;
};

}  // namespace skerry
