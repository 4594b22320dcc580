// A gateway's end, cut at every file operation: it is resumed to the end, keys go first, and
// nothing but the record is left.

#include "daemon/decommission.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using ::testing::UnorderedElementsAre;

void fill_state(FileSystem& fs, const std::filesystem::path& root) {
  for (const char* folder : {"keys", "audit", "blobs/sha256/ab", "meta/image"}) {
    ASSERT_TRUE(fs.create_directories(root / folder, 0700));
  }
  for (const char* file : {"store.key",
                           "keys/device.pem",
                           "keys/audit.pem",
                           "identity.json",
                           "tokens.json",
                           "sync-nonce",
                           "registry.db",
                           "audit/000.log",
                           "blobs/sha256/ab/cd",
                           "meta/image/root.json",
                           "skerryd.lock"}) {
    ASSERT_TRUE(write_file_atomic(fs, root / file, std::string{"secret of "} + file, 0600));
  }
}

const Decommission kOrder{"o-1", "sold", "controller", *parse_rfc3339("2026-11-22T12:00:00Z")};

TEST(Decommission, LeavesTheRecordAndTheLock) {
  const test::TempDir dir;
  SystemFileSystem fs;
  fill_state(fs, dir.path());
  EXPECT_EQ(life_stage(fs, dir.path()), LifeStage::kAlive);
  ASSERT_TRUE(begin_decommission(fs, dir.path(), kOrder));
  EXPECT_EQ(life_stage(fs, dir.path()), LifeStage::kEnding);
  const auto done = finish_decommission(fs, dir.path());
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(life_stage(fs, dir.path()), LifeStage::kEnded);
  EXPECT_THAT(*fs.list(dir.path()), UnorderedElementsAre("decommissioned.json", "skerryd.lock"));
  const auto record = read_file(fs, dir.path() / "decommissioned.json", 4096);
  ASSERT_TRUE(record);
  EXPECT_NE(record->find("\"reason\": \"sold\""), std::string::npos);
}

TEST(Decommission, EveryCutIsResumedAndKeysGoBeforeData) {
  for (const test::Loss loss : {test::Loss::kUnsynced, test::Loss::kTorn, test::Loss::kNothing}) {
    bool completed = false;
    for (std::uint64_t k = 0; !completed; ++k) {
      const test::TempDir dir;
      SystemFileSystem real;
      fill_state(real, dir.path());
      ASSERT_TRUE(begin_decommission(real, dir.path(), kOrder));
      test::FaultFileSystem faulty{dir.path()};
      faulty.fail_at(k, test::Fault::kPowerCut);
      completed = static_cast<bool>(finish_decommission(faulty, dir.path()));
      faulty.restart(loss);
      const bool data_touched = !real.exists(dir.path() / "registry.db") ||
                                !real.exists(dir.path() / "audit/000.log") ||
                                !real.exists(dir.path() / "blobs/sha256/ab/cd");
      if (data_touched) {
        EXPECT_FALSE(real.exists(dir.path() / "keys/device.pem")) << "cut at " << k;
        EXPECT_FALSE(real.exists(dir.path() / "store.key")) << "cut at " << k;
        EXPECT_FALSE(real.exists(dir.path() / "identity.json")) << "cut at " << k;
      }
      if (life_stage(real, dir.path()) == LifeStage::kEnding) {
        const auto resumed = finish_decommission(real, dir.path());
        ASSERT_TRUE(resumed) << "cut at " << k << ": " << resumed.error().to_string();
      }
      EXPECT_EQ(life_stage(real, dir.path()), LifeStage::kEnded);
      EXPECT_THAT(*real.list(dir.path()),
                  UnorderedElementsAre("decommissioned.json", "skerryd.lock"));
      ASSERT_LT(k, 1000U);
    }
  }
}

TEST(Decommission, AnErrorIsReportedAndTheRestCanBeDoneLater) {
  const test::TempDir dir;
  SystemFileSystem real;
  fill_state(real, dir.path());
  ASSERT_TRUE(begin_decommission(real, dir.path(), kOrder));
  test::FaultFileSystem faulty{dir.path()};
  faulty.fail_at(3, test::Fault::kIoError);
  const auto failed = finish_decommission(faulty, dir.path());
  ASSERT_FALSE(failed);
  EXPECT_EQ(life_stage(real, dir.path()), LifeStage::kEnding);
  EXPECT_TRUE(finish_decommission(faulty, dir.path()));
  EXPECT_EQ(life_stage(real, dir.path()), LifeStage::kEnded);
}

}  // namespace
}  // namespace skerry::agent
