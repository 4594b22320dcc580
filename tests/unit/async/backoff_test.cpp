#include "skerry/async/backoff.hpp"

#include <gtest/gtest.h>

namespace skerry::async {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, StaysBetweenATenthOfTheFirstAndTheDoublingCeiling) {
  FakeRandom random{7};
  Backoff backoff{{.first = 1000ms, .longest = 60s}, random};
  auto ceiling = 1000ms;
  for (int i = 0; i < 40; ++i) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, 100ms);
    EXPECT_LE(wait, ceiling) << "failure " << i;
    ceiling = std::min<std::chrono::milliseconds>(60s, ceiling * 2);
  }
}

TEST(Backoff, HonoursRetryAfterBeyondTheCeiling) {
  FakeRandom random{7};
  Backoff backoff{{.first = 10ms, .longest = 20ms}, random};
  EXPECT_EQ(backoff.next(5s), 5s);
}

TEST(Backoff, StartsOverAfterASuccess) {
  FakeRandom random{7};
  Backoff backoff{{.first = 1000ms, .longest = 600s}, random};
  for (int i = 0; i < 10; ++i) {
    (void)backoff.next();
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), 1000ms);
}

}  // namespace
}  // namespace skerry::async
