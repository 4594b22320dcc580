// What making a variant takes, and when a machine has no room for it.

#include "activation/derive_room.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gguf_bytes.hpp"
#include "memory_file.hpp"

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20U;

DeriveNeed need_of(const std::string& bytes, std::uint64_t wanted, DeriveCopies in_memory) {
  test::MemoryFile file{bytes};
  return derive_need(file, bytes.size(), wanted, in_memory);
}

registry::DeviceProfile machine(std::uint64_t memory, std::uint64_t disk) {
  registry::DeviceProfile profile;
  profile.memory_available = memory;
  profile.disk_free = disk;
  return profile;
}

TEST(DeriveRoomTest, TheLargestTensorOfAGgufDecides) {
  test::GgufBytes small = test::GgufBytes::small_model();
  const std::string before = small.bytes();
  const DeriveNeed need = need_of(before, 1000, {});
  EXPECT_EQ(need.disk, 2000U);
  EXPECT_GT(need.memory, 64 * kMiB);
  EXPECT_LT(need.memory, 65 * kMiB) << "the model is a few kilobytes";
  // Many times the largest tensor's bytes in other tensors cost nothing.
  test::GgufBytes large = test::GgufBytes::small_model();
  std::uint64_t end = large.data_bytes;
  for (const char* name : {"blk.7.a", "blk.7.b"}) {
    large.tensors.push_back({name, {1024, 512}, 1, end});
    end += 2 * 1024 * 512;
  }
  large.data_bytes = end;
  const DeriveNeed more = need_of(large.bytes(), 1000, {});
  EXPECT_GE(more.memory, 64 * kMiB + 1024 * 512 * (8 + 2));
  EXPECT_LT(more.memory, 64 * kMiB + 2 * 1024 * 512 * (8 + 2));
}

TEST(DeriveRoomTest, OfOtherFilesTheWholeCounts) {
  const std::string bytes(3 * kMiB, 'x');
  EXPECT_EQ(need_of(bytes, kMiB, {}).memory, (64 + 12) * kMiB);
  // Encrypted: the plain source and the result lie in memory, and only the blob on the disk.
  EXPECT_EQ(need_of(bytes, kMiB, {true, true}).memory, (64 + 12 + 3 + 1) * kMiB);
  EXPECT_EQ(need_of(bytes, kMiB, {true, true}).disk, kMiB);
  // No nameless file beside the store: only what the engine writes lies in memory.
  EXPECT_EQ(need_of(bytes, kMiB, {false, true}).memory, (64 + 12 + 1) * kMiB);
  EXPECT_EQ(need_of(bytes, kMiB, {false, true}).disk, kMiB);
}

TEST(DeriveRoomTest, TheRefusalNamesBothFigures) {
  const DeriveNeed need{100 * kMiB, 10 * kMiB};
  EXPECT_TRUE(check_room(need, machine(100 * kMiB, 10 * kMiB)));
  const auto memory = check_room(need, machine(100 * kMiB - 1, 10 * kMiB));
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code(), Error::Code::kOutOfMemory);
  EXPECT_THAT(memory.error().message(), HasSubstr("100 MiB of memory"));
  const auto disk = check_room(need, machine(100 * kMiB, 10 * kMiB - 1));
  ASSERT_FALSE(disk);
  EXPECT_EQ(disk.error().code(), Error::Code::kNoSpace);
  EXPECT_TRUE(check_room(need, machine(0, 10 * kMiB))) << "a kernel that does not say";
}

}  // namespace
}  // namespace skerry::agent
