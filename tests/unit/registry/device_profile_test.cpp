#include "skerry/registry/device_profile.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

class DeviceProfileTest : public ::testing::Test {
 protected:
  void write(const std::filesystem::path& path, std::string_view content) {
    std::filesystem::create_directories((dir_ / "").parent_path() / path.parent_path());
    std::ofstream{dir_.path() / path} << content;
  }
  DeviceProfile detect() {
    auto profile = detect_hardware(fs_, dir_.path(), HardwarePaths{dir_ / "proc", dir_ / "cgroup"});
    EXPECT_TRUE(profile);
    return *profile;
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
};

constexpr std::string_view kMeminfo =
    "MemTotal:       16384 kB\nMemFree:  100 kB\nMemAvailable:   8192 kB\n";

TEST_F(DeviceProfileTest, ReadsCpusFlagsAndMemory) {
  write("proc/cpuinfo",
        "processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu avx2 fma\n");
  write("proc/meminfo", kMeminfo);
  const auto profile = detect();
  EXPECT_EQ(profile.cpus, 2U);
  EXPECT_EQ(profile.isa.count("avx2"), 1U);
  EXPECT_EQ(profile.isa.size(), 3U);
  EXPECT_EQ(profile.memory_total, 16384U << 10U);
  EXPECT_EQ(profile.memory_available, 8192U << 10U);
  EXPECT_GT(profile.disk_free, 0U);
  EXPECT_FALSE(profile.arch.empty());
}

TEST_F(DeviceProfileTest, ReadsTheFeaturesOfArm) {
  write("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd asimddp\n");
  EXPECT_EQ(detect().isa.count("asimddp"), 1U);
}

TEST_F(DeviceProfileTest, HoldsTheLimitOfACgroupAndOfItsParent) {
  write("proc/meminfo", kMeminfo);
  write("proc/self/cgroup", "0::/system.slice/skerryd.service\n");
  write("cgroup/system.slice/skerryd.service/memory.max", "max\n");
  write("cgroup/system.slice/memory.max", "4194304\n");
  write("cgroup/system.slice/memory.current", "1048576\n");
  const auto profile = detect();
  EXPECT_EQ(profile.memory_total, 4194304U);
  EXPECT_EQ(profile.memory_available, 3145728U);
}

// The kernel gives it back before it refuses: an import would fill the group's limit for hours.
TEST_F(DeviceProfileTest, PageCacheThatIsNotUsedIsAvailable) {
  write("proc/meminfo", kMeminfo);
  write("proc/self/cgroup", "0::/skerry\n");
  write("cgroup/skerry/memory.max", "4194304\n");
  write("cgroup/skerry/memory.current", "4000000\n");
  write("cgroup/skerry/memory.stat",
        "anon 900000\nfile 3100000\ninactive_file 3000000\nactive_file 100000\n");
  EXPECT_EQ(detect().memory_available, 4194304U - 1000000U);
  write("cgroup/skerry/memory.stat", "inactive_file 99999999\n");
  EXPECT_EQ(detect().memory_available, 4194304U) << "never more than the limit";
}

TEST_F(DeviceProfileTest, HoldsTheLimitOfVersionOne) {
  write("proc/meminfo", kMeminfo);
  write("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n0::/b\n");
  write("cgroup/memory/a/memory.limit_in_bytes", "2097152\n");
  write("cgroup/memory/a/memory.usage_in_bytes", "3000000\n");
  const auto profile = detect();
  EXPECT_EQ(profile.memory_total, 2097152U);
  EXPECT_EQ(profile.memory_available, 0U);
}

TEST_F(DeviceProfileTest, LeavesZeroWhereNothingCanBeRead) {
  const auto profile = detect();
  EXPECT_EQ(profile.memory_total, 0U);
  EXPECT_EQ(profile.cpus, 0U);
  EXPECT_TRUE(profile.isa.empty());
}

TEST_F(DeviceProfileTest, IsNotMisledByOddFiles) {
  std::string odd(1000, ':');
  odd += "\n\n\nflags\nprocessor";
  write("proc/cpuinfo", odd);
  write("proc/meminfo", "MemTotal: many kB\nMemAvailable:\n");
  write("proc/self/cgroup", "::::\n\nx\n");
  EXPECT_EQ(detect().memory_total, 0U);
}

TEST_F(DeviceProfileTest, SaysWhenTheStorageIsNotThere) {
  EXPECT_FALSE(detect_hardware(fs_, dir_ / "none"));
}

}  // namespace
}  // namespace skerry::registry
