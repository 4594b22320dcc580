// A tar archive as a folder: GNU tar's own archives read, hostile ones do not.

#include "skerry/registry/tar_folder.hpp"

#include <cstdlib>
#include <fstream>

#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

namespace stdfs = std::filesystem;

// One ustar header with its content, padded.
std::string member(const std::string& name,
                   const std::string& content,
                   char type = '0',
                   const std::string& size = {}) {
  std::string header(512, '\0');
  const auto put = [&header](std::size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  const auto octal = [](std::uint64_t value, int digits) {
    std::string text(static_cast<std::size_t>(digits), '0');
    for (auto it = text.rbegin(); it != text.rend(); ++it, value /= 8) {
      *it = static_cast<char>('0' + value % 8);
    }
    return text;
  };
  put(0, name);
  put(100, "0000644");
  put(124, size.empty() ? octal(content.size(), 11) : size);
  header[156] = type;
  put(257, std::string("ustar\0", 6) + "00");
  put(148, "        ");
  std::uint64_t sum = 0;
  for (const char c : header) {
    sum += static_cast<unsigned char>(c);
  }
  put(148, octal(sum, 6) + std::string("\0 ", 2));
  return header + content + std::string((512 - content.size() % 512) % 512, '\0');
}

std::string archive(const std::string& members) {
  return members + std::string(1024, '\0');
}

class TarFolderTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<FileSystem>> open(const std::string& bytes) {
    std::ofstream{dir / "a.tar", std::ios::binary} << bytes;
    return open_folder_or_tar(dir / "a.tar");
  }
  Error::Code refusal(const std::string& bytes) {
    const auto folder = open(bytes);
    return folder ? Error::Code::kInternal : folder.error().code();
  }

  test::TempDir dir;
};

TEST_F(TarFolderTest, ReadsFilesAndListsFolders) {
  const auto opened =
      open(archive(member("./", "", '5') + member("./a/", "", '5') + member("./a/one", "first") +
                   member("two", "second") + member("a.b", std::string(600, 'x'))));
  ASSERT_TRUE(opened) << opened.error().to_string();
  FileSystem& fs = **opened;
  EXPECT_EQ(*read_file(fs, "a/one", 100), "first");
  EXPECT_EQ(*read_file(fs, "./two", 100), "second");
  EXPECT_EQ(read_file(fs, "a.b", 1000)->size(), 600U);
  EXPECT_EQ(*fs.list(""), (std::vector<std::string>{"a", "a.b", "two"}));
  EXPECT_EQ(*fs.list("a"), std::vector<std::string>{"one"});
  EXPECT_TRUE(fs.status("a")->is_directory);
  EXPECT_EQ(fs.status("two")->size, 6U);
  EXPECT_EQ(fs.status("../two").error().code(), Error::Code::kNotFound);
  EXPECT_EQ(fs.open("a", OpenMode::kRead).error().code(), Error::Code::kInvalidArgument);
  EXPECT_FALSE(fs.open("new", OpenMode::kCreate));
}

TEST_F(TarFolderTest, RefusesWhatIsNoPlainArchive) {
  const std::string good = member("one", "first");
  EXPECT_EQ(refusal(archive(good)), Error::Code::kInternal);
  struct Row {
    const char* what;
    std::string bytes;
    Error::Code code;
  };
  std::string broken_sum = good;
  broken_sum[0] = 'x';
  const std::vector<Row> rows{
      {"empty", "", Error::Code::kSizeMismatch},
      {"no end", good, Error::Code::kSizeMismatch},
      {"cut in a header", good.substr(0, 300), Error::Code::kSizeMismatch},
      {"cut in a file",
       member("one", std::string(2000, 'x')).substr(0, 1024),
       Error::Code::kSizeMismatch},
      {"wrong checksum", archive(broken_sum), Error::Code::kParse},
      {"hard link", archive(member("one", "", '1')), Error::Code::kInvalidArgument},
      {"symbolic link", archive(member("one", "", '2')), Error::Code::kInvalidArgument},
      {"device", archive(member("one", "", '3')), Error::Code::kInvalidArgument},
      {"fifo", archive(member("one", "", '6')), Error::Code::kInvalidArgument},
      {"extended header", archive(member("one", "x", 'x')), Error::Code::kParse},
      {"long name of GNU", archive(member("one", "x", 'L')), Error::Code::kInvalidArgument},
      {"sparse", archive(member("one", "x", 'S')), Error::Code::kInvalidArgument},
      {"absolute", archive(member("/etc/passwd", "x")), Error::Code::kInvalidArgument},
      {"leaving", archive(member("a/../../x", "x")), Error::Code::kInvalidArgument},
      {"dot inside", archive(member("a/./x", "x")), Error::Code::kInvalidArgument},
      {"twice", archive(good + good), Error::Code::kParse},
      {"no name", archive(member("", "x")), Error::Code::kInvalidArgument},
      {"size of letters", archive(member("one", "x", '0', "abcdefghijk")), Error::Code::kParse},
      {"size beyond the archive",
       archive(member("one", "x", '0', "77777777777")),
       Error::Code::kSizeMismatch},
      {"negative size",
       archive(member("one", "x", '0', std::string(12, '\xff'))),
       Error::Code::kParse},
      {"endless size",
       archive(member("one", "x", '0', "\x80" + std::string(3, '\0') + std::string(8, '\x7f'))),
       Error::Code::kSizeMismatch},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(refusal(row.bytes), row.code) << row.what;
  }
}

TEST_F(TarFolderTest, ReadsWhatGnuTarMakes) {
  stdfs::create_directories(dir / "folder/blobs/sha256");
  std::ofstream{dir / "folder/blobs/sha256" / std::string(64, 'a')} << std::string(70'000, 'z');
  std::ofstream{dir / "folder/index.json"} << "{}";
  for (const char* format : {"ustar", "gnu"}) {
    // No other thread of the test changes the environment.
    const int made = std::system(  // NOLINT(concurrency-mt-unsafe)
        ("tar --format=" + std::string{format} + " -C " + (dir / "folder").string() + " -cf " +
         (dir / "made.tar").string() + " .")
            .c_str());
    ASSERT_EQ(made, 0);
    const auto opened = open_folder_or_tar(dir / "made.tar");
    ASSERT_TRUE(opened) << opened.error().to_string();
    EXPECT_EQ(*read_file(**opened, "index.json", 100), "{}");
    EXPECT_EQ(read_file(**opened, "blobs/sha256/" + std::string(64, 'a'), 100'000)->size(),
              70'000U);
    EXPECT_EQ((*opened)->list("")->size(), 2U);
  }
}

TEST_F(TarFolderTest, FollowsNoLinkToAnArchive) {
  std::ofstream{dir / "real.tar", std::ios::binary} << archive(member("one", "first"));
  stdfs::create_symlink(dir / "real.tar", dir / "link.tar");
  EXPECT_TRUE(open_folder_or_tar(dir / "real.tar"));
  EXPECT_FALSE(open_folder_or_tar(dir / "link.tar"));
  EXPECT_TRUE(open_folder_or_tar(dir.path()));
  EXPECT_EQ(open_folder_or_tar(dir / "none").error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::registry
