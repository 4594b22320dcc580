#include "skerry/common/file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace skerry {
namespace {

class FileSystemTest : public ::testing::Test {
 protected:
  FileSystemTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "skerry-fs-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~FileSystemTest() override { std::filesystem::remove_all(directory_); }

  SystemFileSystem system_;
  FileSystem& fs_ = system_;
  std::filesystem::path directory_;
};

TEST_F(FileSystemTest, ReplacesAFileAsAWholeAndLeavesNoTemporaries) {
  const auto path = directory_ / "policy.json";
  ASSERT_TRUE(write_file_atomic(fs_, path, "one", 0600));
  ASSERT_TRUE(write_file_atomic(fs_, path, "two", 0600));
  EXPECT_EQ(*read_file(fs_, path, 16), "two");
  EXPECT_EQ(fs_.status(path)->mode, 0600U);
  EXPECT_EQ(fs_.list(directory_)->size(), 1U);
}

TEST_F(FileSystemTest, RefusesToReadMoreThanTheLimit) {
  const auto path = directory_ / "big";
  ASSERT_TRUE(write_file_atomic(fs_, path, "12345"));
  EXPECT_EQ(read_file(fs_, path, 4).error().code(), Error::Code::kTooLarge);
  EXPECT_EQ(*read_file(fs_, path, 5), "12345");
  EXPECT_EQ(read_file(fs_, directory_, 5).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(read_file(fs_, directory_ / "none", 5).error().code(), Error::Code::kNotFound);
}

TEST_F(FileSystemTest, DoesNotWriteThroughASymbolicLink) {
  const auto target = directory_ / "target";
  ASSERT_TRUE(write_file_atomic(fs_, target, "untouched"));
  std::filesystem::create_symlink(target, directory_ / "link");
  EXPECT_FALSE(fs_.open(directory_ / "link", OpenMode::kReadWrite));
  EXPECT_FALSE(fs_.open(directory_ / "link", OpenMode::kCreate));
  EXPECT_EQ(*read_file(fs_, target, 16), "untouched");
}

TEST_F(FileSystemTest, RenameWithoutReplacingKeepsTheExistingFile) {
  ASSERT_TRUE(write_file_atomic(fs_, directory_ / "a", "a"));
  ASSERT_TRUE(write_file_atomic(fs_, directory_ / "b", "b"));
  EXPECT_EQ(fs_.rename(directory_ / "a", directory_ / "b", true).error().code(),
            Error::Code::kAlreadyExists);
  EXPECT_EQ(*read_file(fs_, directory_ / "b", 4), "b");
  EXPECT_TRUE(fs_.rename(directory_ / "a", directory_ / "b"));
  EXPECT_EQ(*read_file(fs_, directory_ / "b", 4), "a");
}

TEST_F(FileSystemTest, ReadsAndWritesAtPositionsAndReserves) {
  auto file = fs_.open(directory_ / "blob", OpenMode::kCreateExclusive);
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->allocate(100));
  EXPECT_EQ((*file)->status()->size, 100U);
  ASSERT_TRUE((*file)->write_at(98, as_bytes("xyz")));
  Bytes out(8);
  EXPECT_EQ(*(*file)->read_at(97, out), 4U);
  EXPECT_EQ(as_text(ByteView{out}.subspan(1, 3)), "xyz");
  EXPECT_EQ(fs_.open(directory_ / "blob", OpenMode::kCreateExclusive).error().code(),
            Error::Code::kAlreadyExists);
}

TEST_F(FileSystemTest, CreatesNestedDirectoriesAndRefusesAFileInTheWay) {
  EXPECT_TRUE(fs_.create_directories(directory_ / "a/b/c", 0750));
  EXPECT_TRUE(fs_.create_directories(directory_ / "a/b/c", 0750));
  ASSERT_TRUE(write_file_atomic(fs_, directory_ / "file", ""));
  EXPECT_FALSE(fs_.create_directories(directory_ / "file", 0750));
  EXPECT_GT(*fs_.free_space(directory_), 0U);
}

TEST(ErrnoError, MapsWhatCallersBranchOn) {
  EXPECT_EQ(errno_error(ENOSPC, "x").code(), Error::Code::kNoSpace);
  EXPECT_EQ(errno_error(EDQUOT, "x").code(), Error::Code::kNoSpace);
  EXPECT_EQ(errno_error(ENOENT, "x").code(), Error::Code::kNotFound);
  EXPECT_EQ(errno_error(EIO, "reading y").message(), "reading y: Input/output error");
}

TEST(ErrorCodes, AreUniqueAndNamed) {
  std::vector<std::string_view> names;
  for (const auto code : all_error_codes()) {
    EXPECT_NE(to_string(code), "unknown");
    EXPECT_EQ(std::count(names.begin(), names.end(), to_string(code)), 0) << to_string(code);
    names.push_back(to_string(code));
  }
  EXPECT_EQ(to_string(Error::Code::kDigestMismatch), "digest_mismatch");
  EXPECT_EQ(to_string(static_cast<Error::Code>(0xffff)), "unknown");
  const Error error = Error{Error::Code::kNotFound, "no such slot"}.with_context("rollback");
  EXPECT_EQ(error.to_string(), "not_found: rollback: no such slot");
}

}  // namespace
}  // namespace skerry
