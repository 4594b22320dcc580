#include "skerry/common/random.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include <sys/random.h>

namespace skerry {

std::uint64_t Random::below(std::uint64_t bound) {
  // Values of the last, incomplete stretch of the range are drawn again, so that all are equally
  // likely.
  const std::uint64_t limit = std::numeric_limits<std::uint64_t>::max() / bound * bound;
  std::uint64_t value = 0;
  do {
    std::array<std::uint8_t, sizeof value> bytes{};
    fill(bytes);
    value = 0;
    for (const std::uint8_t byte : bytes) {
      value = (value << 8U) | byte;
    }
  } while (value >= limit);
  return value % bound;
}

std::string Random::hex(std::size_t bytes) {
  Bytes random(bytes);
  fill(random);
  return to_hex(random);
}

void SystemRandom::fill(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = getrandom(out.data() + done, out.size() - done, 0);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      std::abort();
    }
    done += static_cast<std::size_t>(count);
  }
}

void FakeRandom::fill(std::span<std::uint8_t> out) {
  for (auto& byte : out) {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    byte = static_cast<std::uint8_t>(mixed >> 56U);
  }
}

}  // namespace skerry
