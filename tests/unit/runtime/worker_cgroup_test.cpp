// A worker's leaf, in a folder that plays cgroupfs: the kernel's files appear with a directory and
// go with it, and some may be missing or refuse.
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spawn.hpp"
#include "temp_dir.hpp"

namespace skerry::runtime {
namespace {

using ::testing::HasSubstr;

class PlayedCgroup final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const std::filesystem::path& path,
                                     OpenMode mode,
                                     std::uint32_t mode_bits) override {
    EXPECT_EQ(mode, OpenMode::kReadWrite) << "cgroupfs makes its files itself: " << path;
    if (refused.contains(path.filename().string())) {
      return Error{Error::Code::kPermissionDenied, "refused: " + path.filename().string()};
    }
    return real_.open(path, mode, mode_bits);
  }
  [[nodiscard]] Result<FileStatus> status(const std::filesystem::path& path) const override {
    return real_.status(path);
  }
  Result<void> create_directories(const std::filesystem::path& path,
                                  std::uint32_t mode_bits) override {
    if (Result<void> made = real_.create_directories(path, mode_bits); !made) {
      return made;
    }
    for (const std::string& name : offered) {
      auto file = real_.open(path / name, OpenMode::kCreate, 0644);
      EXPECT_TRUE(file);
      // As short as the shortest value: a plain file keeps what a write does not cover.
      EXPECT_TRUE((*file)->write_at(0, as_bytes(std::string_view{"0"})));
    }
    return {};
  }
  Result<void> rename(const std::filesystem::path& from,
                      const std::filesystem::path& to,
                      bool no_replace) override {
    return real_.rename(from, to, no_replace);
  }
  Result<void> remove(const std::filesystem::path& path) override {
    // rmdir of a cgroup takes the kernel's files with it.
    const Result<std::vector<std::string>> files = real_.list(path);
    for (const std::string& name : *files) {
      EXPECT_TRUE(real_.remove(path / name));
    }
    return real_.remove(path);
  }
  Result<void> sync_directory(const std::filesystem::path& directory) override {
    return real_.sync_directory(directory);
  }
  [[nodiscard]] Result<std::vector<std::string>> list(
      const std::filesystem::path& directory) const override {
    return real_.list(directory);
  }
  [[nodiscard]] Result<std::uint64_t> free_space(const std::filesystem::path& path) const override {
    return real_.free_space(path);
  }

  std::string text(const std::filesystem::path& path) {
    return read_file(real_, path, 4096).value_or("absent");
  }

  std::set<std::string> offered{"cgroup.procs", "cpu.weight", "memory.max"};
  std::set<std::string> refused;

 private:
  SystemFileSystem real_;
};

class WorkerCgroupTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  PlayedCgroup fs_;
  const std::filesystem::path leaf_ = dir_ / "worker-4711";
};

TEST_F(WorkerCgroupTest, TheLeafHasWeightLimitAndTheProcess) {
  {
    const WorkerCgroup cgroup{fs_, dir_.path(), 4711, 100U << 20U};
    EXPECT_TRUE(cgroup.active());
    EXPECT_EQ(cgroup.problem(), "");
    EXPECT_EQ(fs_.text(leaf_ / "cpu.weight"), "20");
    EXPECT_EQ(fs_.text(leaf_ / "memory.max"), std::to_string((100U << 20U) + (10U << 20U)));
    EXPECT_EQ(fs_.text(leaf_ / "cgroup.procs"), "4711");
  }
  EXPECT_FALSE(fs_.exists(leaf_)) << "it goes with the worker";
}

TEST_F(WorkerCgroupTest, WithoutALimitTheKernelsDefaultStays) {
  const WorkerCgroup cgroup{fs_, dir_.path(), 4711, 0};
  EXPECT_TRUE(cgroup.active());
  EXPECT_EQ(fs_.text(leaf_ / "memory.max"), "0") << "untouched";
}

TEST_F(WorkerCgroupTest, AMissingControllerIsSaidAndTheRestHolds) {
  fs_.offered.erase("memory.max");
  const WorkerCgroup cgroup{fs_, dir_.path(), 4711, 100U << 20U};
  EXPECT_TRUE(cgroup.active());
  EXPECT_THAT(cgroup.problem(), HasSubstr("memory.max"));
  EXPECT_EQ(fs_.text(leaf_ / "cgroup.procs"), "4711");
}

TEST_F(WorkerCgroupTest, ALeafThatTakesNoProcessIsRemoved) {
  fs_.refused = {"cgroup.procs"};
  const WorkerCgroup cgroup{fs_, dir_.path(), 4711, 0};
  EXPECT_FALSE(cgroup.active());
  EXPECT_THAT(cgroup.problem(), HasSubstr("cgroup.procs"));
  EXPECT_FALSE(fs_.exists(leaf_));
}

TEST_F(WorkerCgroupTest, ALeafLeftByAnEarlierDaemonIsMadeAnew) {
  ASSERT_TRUE(fs_.create_directories(leaf_, 0755));
  const WorkerCgroup cgroup{fs_, dir_.path(), 4711, 0};
  EXPECT_TRUE(cgroup.active());
  EXPECT_EQ(cgroup.problem(), "");
}

TEST_F(WorkerCgroupTest, WithoutAParentNothingIsTouched) {
  const WorkerCgroup cgroup{fs_, {}, 4711, 1U << 20U};
  EXPECT_FALSE(cgroup.active());
  EXPECT_EQ(cgroup.problem(), "");
}

}  // namespace
}  // namespace skerry::runtime
