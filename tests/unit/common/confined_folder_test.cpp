// A folder that somebody else filled: nothing outside it is reached, nothing hangs, nothing is
// changed.

#include "skerry/common/confined_folder.hpp"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "skerry/common/share_file.hpp"

#include "temp_dir.hpp"

namespace skerry {
namespace {

namespace stdfs = std::filesystem;

class ConfinedFolderTest : public ::testing::Test {
 protected:
  ConfinedFolderTest() {
    stdfs::create_directories(dir / "stick/inner");
    std::ofstream{dir / "secret"} << "outside";
    std::ofstream{dir / "stick/inner/file"} << "content";
    stdfs::create_symlink(dir / "secret", dir / "stick/absolute");
    stdfs::create_symlink("../secret", dir / "stick/leaving");
    stdfs::create_symlink("inner/file", dir / "stick/staying");
    stdfs::create_symlink(dir.path(), dir / "stick/folder");
    EXPECT_EQ(::mkfifo((dir / "stick/fifo").c_str(), 0600), 0);
    folder = *ConfinedFolder::open(dir / "stick");
  }

  Error::Code refusal(const char* path) {
    const auto file = folder->open(path, OpenMode::kRead, 0);
    return file ? Error::Code::kInternal : file.error().code();
  }

  test::TempDir dir;
  std::unique_ptr<ConfinedFolder> folder;
};

TEST_F(ConfinedFolderTest, ReadsWhatIsInside) {
  EXPECT_EQ(*read_file(*folder, "inner/file", 100), "content");
  EXPECT_EQ(*read_file(*folder, "inner/../inner/file", 100), "content");
  EXPECT_EQ(folder->status("inner/file")->size, 7U);
  EXPECT_TRUE(folder->status("")->is_directory);
  EXPECT_EQ(*folder->list("inner"), std::vector<std::string>{"file"});
  EXPECT_EQ(folder->list("")->size(), 6U);
  EXPECT_FALSE(folder->exists("inner/none"));
}

TEST_F(ConfinedFolderTest, ReachesNothingOutside) {
  for (const char* path : {"../secret",
                           "inner/../../secret",
                           "/etc/passwd",
                           "absolute",
                           "leaving",
                           "staying",
                           "folder/secret"}) {
    EXPECT_EQ(refusal(path), Error::Code::kPermissionDenied) << path;
  }
  EXPECT_FALSE(folder->list("folder"));
  EXPECT_FALSE(folder->status("leaving"));
  EXPECT_FALSE(ConfinedFolder::open(dir / "stick/folder"));
}

TEST_F(ConfinedFolderTest, OpensNoSpecialFile) {
  EXPECT_EQ(refusal("fifo"), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal("inner"), Error::Code::kInvalidArgument);
}

TEST_F(ConfinedFolderTest, ChangesNothing) {
  EXPECT_FALSE(folder->open("new", OpenMode::kCreate, 0640));
  EXPECT_FALSE(folder->remove("inner/file"));
  EXPECT_FALSE(folder->rename("inner/file", "other", false));
  EXPECT_FALSE(folder->create_directories("more", 0750));
  EXPECT_FALSE(write_file_atomic(*folder, "inner/file", "x"));
  EXPECT_EQ(*read_file(*folder, "inner/file", 100), "content");
}

TEST_F(ConfinedFolderTest, StaysAtTheFolderThatWasOpened) {
  stdfs::rename(dir / "stick", dir / "moved");
  stdfs::create_directories(dir / "stick/inner");
  std::ofstream{dir / "stick/inner/file"} << "other";
  EXPECT_EQ(*read_file(*folder, "inner/file", 100), "content");
}

TEST(ShareFile, GivesTheSameBytesASecondName) {
  const test::TempDir dir;
  SystemFileSystem fs;
  std::ofstream{dir / "a"} << "content";
  const auto shared = share_file(dir / "a", dir / "b");
  ASSERT_TRUE(shared) << shared.error().to_string();
  EXPECT_TRUE(*shared);
  EXPECT_EQ(*read_file(fs, dir / "b", 100), "content");
  EXPECT_EQ(share_file(dir / "a", dir / "b").error().code(), Error::Code::kAlreadyExists);
  EXPECT_EQ(share_file(dir / "none", dir / "c").error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry
