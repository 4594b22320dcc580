#include "restart_policy.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

using namespace std::chrono_literals;

TEST(RestartPolicy, DelayDoublesUpToItsLimit) {
  RestartPolicy policy{1s, 300s};
  const BootTime now{1h};
  EXPECT_EQ(policy.wait(now), 0s);
  std::vector<std::chrono::nanoseconds> delays;
  for (int i = 0; i < 11; ++i) {
    policy.on_unclean_exit(now, 1s);
    delays.push_back(policy.wait(now));
  }
  EXPECT_EQ(delays[0], 1s);
  EXPECT_EQ(delays[1], 2s);
  EXPECT_EQ(delays[7], 128s);
  EXPECT_EQ(delays[10], 300s);
  EXPECT_EQ(policy.wait(now + 301s), 0s);
}

TEST(RestartPolicy, LongLifeOrCleanStopForgives) {
  RestartPolicy policy{1s, 300s};
  const BootTime now{1h};
  for (int i = 0; i < 5; ++i) {
    policy.on_unclean_exit(now, 1s);
  }
  policy.on_unclean_exit(now, 10min);
  EXPECT_EQ(policy.wait(now), 1s);
  policy.on_clean_exit();
  EXPECT_EQ(policy.wait(now), 0s);
}

}  // namespace
}  // namespace skerry::runtime
