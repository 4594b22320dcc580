#include "grpc/shared_regions.hpp"

#include <fstream>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

security::Principal me() {
  return security::Principal::local(::getuid(), {::getgid()});
}

security::Principal somebody() {
  return security::Principal::local(::getuid() + 1, {::getgid()});
}

class SharedRegionsTest : public ::testing::Test {
 protected:
  void make(const std::string& name, const std::string& bytes) {
    std::ofstream{dir_ / name, std::ios::binary} << bytes;
  }
  std::string content(const std::string& name) {
    std::ifstream file{dir_ / name, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}};
  }
  static SharedRegions::Facts facts(const std::string& name,
                                    const std::string& key,
                                    std::uint64_t offset,
                                    std::uint64_t bytes) {
    return {name, key, offset, bytes};
  }
  Error::Code refusal(const security::Principal& who, SharedRegions::Facts facts) {
    const Result<void> added = regions_.add(who, std::move(facts));
    EXPECT_FALSE(added);
    return added ? Error::Code::kInternal : added.error().code();
  }

  test::TempDir dir_;
  SharedRegions regions_{dir_.path()};
};

TEST_F(SharedRegionsTest, ReadsAndWritesWithinTheRegion) {
  make("frames", "0123456789");
  ASSERT_TRUE(regions_.add(me(), facts("in", "/frames", 2, 6)));
  const auto region = regions_.find(me(), "in");
  ASSERT_TRUE(region);
  const Result<std::string> data = (*region)->read(1, 4);
  ASSERT_TRUE(data);
  EXPECT_EQ(*data, "3456");
  ASSERT_TRUE((*region)->write(4, "ab"));
  EXPECT_EQ(content("frames"), "012345ab89");
  EXPECT_EQ((*region)->read(3, 4).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ((*region)->write(6, "a").error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ((*region)->read(~0ULL, 2).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ((*region)->read(1, ~0ULL).error().code(), Error::Code::kInvalidArgument);
}

TEST_F(SharedRegionsTest, AnObjectThatWasCutShortIsAnErrorAndDoesNotGrow) {
  make("frames", std::string(100, 'x'));
  ASSERT_TRUE(regions_.add(me(), facts("in", "frames", 0, 100)));
  ASSERT_EQ(::truncate((dir_ / "frames").c_str(), 10), 0);
  const auto region = regions_.find(me(), "in");
  ASSERT_TRUE(region);
  EXPECT_EQ((*region)->read(0, 100).error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ((*region)->write(50, "x").error().code(), Error::Code::kFailedPrecondition);
  EXPECT_THAT(content("frames"), SizeIs(10));
  EXPECT_TRUE((*region)->read(0, 10));
}

TEST_F(SharedRegionsTest, ARegionIsItsPrincipalsAlone) {
  make("frames", "0123456789");
  ASSERT_TRUE(regions_.add(me(), facts("in", "frames", 0, 10)));
  EXPECT_EQ(regions_.find(somebody(), "in").error().code(), Error::Code::kNotFound);
  EXPECT_THAT(*regions_.list(somebody(), ""), SizeIs(0));
  regions_.remove(somebody(), "in");
  regions_.remove(somebody(), "");
  EXPECT_TRUE(regions_.find(me(), "in"));
}

TEST_F(SharedRegionsTest, OnlyTheOwnerOfAnObjectMayLendIt) {
  make("frames", "0123456789");
  EXPECT_EQ(refusal(somebody(), facts("in", "frames", 0, 10)), Error::Code::kPermissionDenied);
  EXPECT_EQ(refusal(security::Principal::token("ci"), facts("in", "frames", 0, 10)),
            Error::Code::kPermissionDenied);
}

TEST_F(SharedRegionsTest, LinksPipesAndPathsAreRefused) {
  make("frames", "0123456789");
  ASSERT_EQ(::symlink((dir_ / "frames").c_str(), (dir_ / "link").c_str()), 0);
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal(me(), facts("in", "link", 0, 10)), Error::Code::kPermissionDenied);
  EXPECT_EQ(refusal(me(), facts("in", "pipe", 0, 10)), Error::Code::kPermissionDenied);
  for (const std::string key :
       {"", "/", ".", "..", "/..", "a/b", "//frames", "../frames", "/a/../frames"}) {
    EXPECT_EQ(refusal(me(), facts("in", key, 0, 10)), Error::Code::kInvalidArgument) << key;
  }
  EXPECT_EQ(refusal(me(), facts("in", std::string("frames\0x", 8), 0, 10)),
            Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("in", "absent", 0, 10)), Error::Code::kNotFound);
}

TEST_F(SharedRegionsTest, SizesAreChecked) {
  make("frames", "0123456789");
  EXPECT_EQ(refusal(me(), facts("in", "frames", 0, 0)), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("in", "frames", 0, 11)), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("in", "frames", 5, 6)), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("in", "frames", ~0ULL, 6)), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("in", "frames", 0, ~0ULL)), Error::Code::kInvalidArgument);
  EXPECT_EQ(refusal(me(), facts("", "frames", 0, 10)), Error::Code::kInvalidArgument);
  EXPECT_TRUE(regions_.add(me(), facts("in", "frames", 5, 5)));
}

TEST_F(SharedRegionsTest, NamesAreUsedOnceAndFreedAgain) {
  make("frames", "0123456789");
  ASSERT_TRUE(regions_.add(me(), facts("in", "frames", 0, 10)));
  EXPECT_EQ(refusal(me(), facts("in", "frames", 0, 5)), Error::Code::kAlreadyExists);
  const auto held = regions_.find(me(), "in");
  ASSERT_TRUE(held);
  regions_.remove(me(), "in");
  EXPECT_FALSE(regions_.find(me(), "in"));
  // Who still answers with it may.
  EXPECT_TRUE((*held)->read(0, 10));
  ASSERT_TRUE(regions_.add(me(), facts("in", "frames", 0, 5)));
  ASSERT_TRUE(regions_.add(me(), facts("out", "frames", 5, 5)));
  const auto all = regions_.list(me(), "");
  ASSERT_TRUE(all);
  EXPECT_THAT(*all, SizeIs(2));
  const auto one = regions_.list(me(), "out");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->front().key, "frames");
  EXPECT_EQ(one->front().offset, 5U);
  regions_.remove(me(), "");
  EXPECT_THAT(*regions_.list(me(), ""), SizeIs(0));
  EXPECT_EQ(regions_.list(me(), "out").error().code(), Error::Code::kNotFound);
}

TEST_F(SharedRegionsTest, CountAndBytesAreBounded) {
  make("frames", "0123456789");
  SharedRegions::Limits limits;
  limits.regions_of_one = 2;
  limits.bytes_of_one = 12;
  regions_ = SharedRegions{dir_.path(), limits};
  ASSERT_TRUE(regions_.add(me(), facts("a", "frames", 0, 10)));
  EXPECT_EQ(refusal(me(), facts("b", "frames", 0, 3)), Error::Code::kResourceExhausted);
  ASSERT_TRUE(regions_.add(me(), facts("b", "frames", 0, 2)));
  regions_.remove(me(), "a");
  ASSERT_TRUE(regions_.add(me(), facts("c", "frames", 0, 1)));
  EXPECT_EQ(refusal(me(), facts("d", "frames", 0, 1)), Error::Code::kResourceExhausted);
  limits.regions = 1;
  regions_ = SharedRegions{dir_.path(), limits};
  ASSERT_TRUE(regions_.add(me(), facts("a", "frames", 0, 1)));
  const Result<void> second = regions_.add(me(), facts("b", "frames", 0, 1));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("on this gateway"));
}

}  // namespace
}  // namespace skerry::agent
