#include "cpu_meter.hpp"

#include <array>

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

constexpr std::string_view kStat =
    "cpu  300 10 100 9000 50 5 15 20 0 0\n"
    "cpu0 100 0 50 4000 20 5 5 0 7 0\n"
    "cpu1 200 10 50 5000 30 0 10 20 0 0\n"
    "intr 12345 0 0\n"
    "cpu9 is not a core's line any more\n";

TEST(CpuMeterTest, CountsTheCoresThatAreOurs) {
  const std::array<std::uint32_t, 1> one{0};
  const std::array<std::uint32_t, 2> both{0, 1};
  // Idle and waiting for a disk are not busy; stolen time is; a guest's is in user already.
  EXPECT_DOUBLE_EQ(*parse_busy_time(kStat, one, 100), 1.6);
  EXPECT_DOUBLE_EQ(*parse_busy_time(kStat, both, 100), 1.6 + 2.9);
}

TEST(CpuMeterTest, CoreThatIsNotListedMakesItUnknown) {
  const std::array<std::uint32_t, 2> cores{0, 7};
  EXPECT_FALSE(parse_busy_time(kStat, cores, 100));
  EXPECT_FALSE(parse_busy_time("", cores, 100));
  EXPECT_FALSE(parse_busy_time(kStat, {}, 100));
  EXPECT_FALSE(parse_busy_time("cpu0\ncpu7 x y\n", cores, 0));
}

TEST(CpuMeterTest, ReadsPressureAndQuotas) {
  EXPECT_DOUBLE_EQ(
      *parse_pressure(
          "some avg10=52.64 avg60=69.38 avg300=56.12 total=24035322706\nfull total=0\n"),
      24035.322706);
  EXPECT_FALSE(parse_pressure(""));
  EXPECT_FALSE(parse_pressure("some avg10=1.0 total=x\n"));
  EXPECT_DOUBLE_EQ(*parse_cpu_max("150000 100000\n"), 1.5);
  EXPECT_FALSE(parse_cpu_max("max 100000\n"));
  EXPECT_FALSE(parse_cpu_max("100000"));
  EXPECT_DOUBLE_EQ(*parse_cfs_quota("50000\n", "100000\n"), 0.5);
  EXPECT_FALSE(parse_cfs_quota("-1\n", "100000\n"));
  EXPECT_EQ(parse_throttled("nr_periods 10\nnr_throttled 3\nthrottled_time 7\n"), 3U);
  EXPECT_FALSE(parse_throttled("usage_usec 4\n"));
}

TEST(CpuMeterTest, FindsTheOwnCgroup) {
  constexpr std::string_view kHybrid = "4:memory:/m\n2:cpu,cpuacct:/a/b\n0::/c\n";
  EXPECT_EQ(find_cgroup(kHybrid, "cpu"), "/a/b");
  EXPECT_EQ(find_cgroup(kHybrid, "cpuacct"), "/a/b");
  EXPECT_EQ(find_cgroup(kHybrid, ""), "/c");
  EXPECT_EQ(find_cgroup(kHybrid, "cpuset"), "");
  EXPECT_EQ(find_cgroup("garbage\n::", "cpu"), "");
}

TEST(CpuMeterTest, SamplesAreDifferences) {
  CpuMeter meter;
  CpuReading reading{.at = BootTime{std::chrono::seconds{10}},
                     .cores = 2,
                     .own = 100,
                     .busy = 1000,
                     .pressure = 5,
                     .quota = 1.5,
                     .throttled = 4};
  EXPECT_FALSE(meter.sample(reading)) << "nothing to compare with yet";
  reading.at += std::chrono::seconds{2};
  reading.own += 1.5;
  reading.busy = *reading.busy + 3.0;
  reading.pressure = *reading.pressure + 1.0;
  reading.throttled = 5;
  const auto sample = meter.sample(reading);
  ASSERT_TRUE(sample);
  EXPECT_DOUBLE_EQ(sample->seconds, 2);
  EXPECT_DOUBLE_EQ(*sample->others, 0.75);
  EXPECT_DOUBLE_EQ(*sample->pressure, 0.5);
  EXPECT_DOUBLE_EQ(*sample->quota, 1.5);
  EXPECT_TRUE(sample->throttled);
  EXPECT_FALSE(meter.sample(reading)) << "no time has passed";
}

TEST(CpuMeterTest, KernelTicksThatLagBehindAreNoNegativeLoad) {
  CpuMeter meter;
  CpuReading reading{.at = BootTime{1}, .cores = 2, .own = 1, .busy = 10};
  meter.restart(reading);
  reading.at += std::chrono::milliseconds{250};
  reading.own += 0.4;
  reading.busy = *reading.busy + 0.38;
  EXPECT_DOUBLE_EQ(*meter.sample(reading)->others, 0);
  // Another set of cores cannot be compared.
  reading.at += std::chrono::milliseconds{250};
  reading.cores = 1;
  EXPECT_FALSE(meter.sample(reading)->others);
}

}  // namespace
}  // namespace skerry::runtime
