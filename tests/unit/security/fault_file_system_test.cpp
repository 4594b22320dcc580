// The fault file system itself: a fake that forgives would make every crash test pass.

#include "fault_file_system.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::test {
namespace {

class FaultFileSystemTest : public ::testing::Test {
 protected:
  Result<void> write(const std::string& name, std::string_view text, bool sync, bool sync_dir) {
    auto file = fs_.open(dir_ / name, OpenMode::kCreate, 0640);
    if (!file) {
      return std::move(file).error();
    }
    if (auto done = (*file)->write_at(0, as_bytes(text)); !done) {
      return done;
    }
    if (sync) {
      if (auto done = (*file)->sync(); !done) {
        return done;
      }
    }
    return sync_dir ? fs_.sync_directory(dir_.path()) : Result<void>{};
  }
  std::string text(const std::string& name) {
    const auto content = read_file(fs_, dir_ / name, 1000);
    return content ? *content : std::string{to_string(content.error().code())};
  }
  TempDir dir_;
  FaultFileSystem fs_{dir_.path()};
};

TEST_F(FaultFileSystemTest, APowerCutDropsWhatWasNotSynced) {
  ASSERT_TRUE(write("neither", "text", false, false));
  ASSERT_TRUE(write("data", "text", true, false));
  fs_.restart(Loss::kUnsynced);
  EXPECT_EQ(text("neither"), "not_found");
  EXPECT_EQ(text("data"), "not_found");
  ASSERT_TRUE(write("both", "text", true, true));
  ASSERT_TRUE(write("name", "text", false, true));
  ASSERT_TRUE(write("both", "more text", false, false));
  fs_.restart(Loss::kUnsynced);
  EXPECT_EQ(text("both"), "text");
  EXPECT_EQ(text("name"), "");
}

TEST_F(FaultFileSystemTest, RenamesAndRemovalsNeedTheDirectorySynced) {
  ASSERT_TRUE(write("a", "text", true, true));
  ASSERT_TRUE(fs_.rename(dir_ / "a", dir_ / "b", false));
  fs_.restart(Loss::kUnsynced);
  EXPECT_EQ(text("a"), "text");
  EXPECT_EQ(text("b"), "not_found");
  ASSERT_TRUE(fs_.rename(dir_ / "a", dir_ / "b", false));
  ASSERT_TRUE(fs_.sync_directory(dir_.path()));
  ASSERT_TRUE(fs_.remove(dir_ / "b"));
  fs_.restart(Loss::kUnsynced);
  EXPECT_EQ(text("a"), "not_found");
  EXPECT_EQ(text("b"), "text");
}

TEST_F(FaultFileSystemTest, ATornAppendKeepsItsFirstHalf) {
  ASSERT_TRUE(write("a", "sealed", true, true));
  ASSERT_TRUE(write("a", "sealed1234", false, false));
  fs_.restart(Loss::kTorn);
  EXPECT_EQ(text("a"), "sealed12");
}

TEST_F(FaultFileSystemTest, FailsTheNumberedOperationOnce) {
  fs_.fail_at(1, Fault::kIoError);
  const auto failed = write("a", "text", true, true);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Error::Code::kIo);
  EXPECT_TRUE(fs_.fired());
  EXPECT_TRUE(write("a", "text", true, true));
}

TEST_F(FaultFileSystemTest, AFullDiskLeavesHalfAWriteUntilCleared) {
  fs_.fail_at(1, Fault::kNoSpace, true);
  EXPECT_EQ(write("a", "text", true, true).error().code(), Error::Code::kNoSpace);
  EXPECT_EQ(text("a"), "te");
  EXPECT_EQ(write("a", "text", true, true).error().code(), Error::Code::kNoSpace);
  fs_.clear();
  EXPECT_TRUE(write("a", "text", true, true));
}

TEST_F(FaultFileSystemTest, NothingWorksBetweenThePowerCutAndTheRestart) {
  ASSERT_TRUE(write("a", "text", true, true));
  auto file = fs_.open(dir_ / "a", OpenMode::kReadWrite, 0);
  fs_.fail_at(0, Fault::kPowerCut);
  EXPECT_FALSE((*file)->write_at(0, as_bytes("x")));
  EXPECT_FALSE((*file)->sync());
  EXPECT_FALSE(fs_.open(dir_ / "a", OpenMode::kReadWrite, 0));
  fs_.restart(Loss::kUnsynced);
  EXPECT_FALSE((*file)->write_at(0, as_bytes("x"))) << "a file from before the restart";
  EXPECT_TRUE(fs_.open(dir_ / "a", OpenMode::kReadWrite, 0));
}

TEST_F(FaultFileSystemTest, AtomicReplacementIsAtomicUnderEveryFault) {
  for (const Fault fault :
       {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite, Fault::kPowerCut}) {
    for (std::uint64_t k = 0;; ++k) {
      TempDir dir;
      FaultFileSystem fs{dir.path()};
      ASSERT_TRUE(write_file_atomic(fs, dir / "f", "old"));
      fs.fail_at(k, fault);
      const bool written = write_file_atomic(fs, dir / "f", "new").has_value();
      const bool fired = fs.fired();
      fs.restart(Loss::kUnsynced);
      const auto content = read_file(fs, dir / "f", 100);
      ASSERT_TRUE(content) << k;
      EXPECT_TRUE(*content == "new" || (*content == "old" && !written)) << *content << " " << k;
      if (!fired) {
        EXPECT_TRUE(written);
        break;
      }
    }
  }
}

}  // namespace
}  // namespace skerry::test
