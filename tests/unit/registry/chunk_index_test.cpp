#include "skerry/registry/chunk_index.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::index_of;
using test::random_bytes;

TEST(ChunkIndex, RefusesChunkSizesThatAreNoPowerOfTwoInRange) {
  for (const std::uint64_t size : {0ULL, 1ULL, 1000ULL, 131072ULL, 262145ULL, 33554432ULL}) {
    EXPECT_FALSE(check_chunking(1000, size)) << size;
  }
  EXPECT_TRUE(check_chunking(1, kMinChunkSize));
  EXPECT_FALSE(check_chunking(0, kMinChunkSize));
  EXPECT_FALSE(check_chunking(kMaxBlobSize + 1, kMaxChunkSize));
  EXPECT_FALSE(check_chunking(kMaxChunks * kMinChunkSize + 1, kMinChunkSize));
  EXPECT_TRUE(check_chunking(kMaxChunks * kMinChunkSize, kMinChunkSize));
}

TEST(ChunkIndex, ChoosesTheSmallestChunkThatFits) {
  EXPECT_EQ(choose_chunk_size(1), kDefaultChunkSize);
  EXPECT_EQ(choose_chunk_size(kMaxChunks * kDefaultChunkSize), kDefaultChunkSize);
  EXPECT_TRUE(check_chunking(kMaxBlobSize, choose_chunk_size(kMaxBlobSize)));
}

TEST(ChunkIndex, SurvivesItsBytes) {
  const auto bytes = random_bytes(3 * kMinChunkSize + 17, 1);
  const auto index = index_of(bytes, kMinChunkSize);
  EXPECT_EQ(index.count(), 4U);
  EXPECT_EQ(index.length_of(3), 17U);
  const auto again = ChunkIndex::parse(index.serialise(), bytes.size(), kMinChunkSize);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, index);
  EXPECT_EQ(index.digest(), Digest::of(index.serialise()));
}

TEST(ChunkIndex, RefusesBytesOfAnotherLength) {
  const auto bytes = random_bytes(3 * kMinChunkSize, 1);
  auto serialised = index_of(bytes, kMinChunkSize).serialise();
  EXPECT_FALSE(ChunkIndex::parse(serialised, bytes.size() + 1, kMinChunkSize));
  serialised.pop_back();
  const auto index = ChunkIndex::parse(serialised, bytes.size(), kMinChunkSize);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code(), Error::Code::kSizeMismatch);
}

TEST(ChunkIndex, VerifyNamesTheChunk) {
  auto file = test::make_file(FileRole::kWeights, "w", 2 * kMinChunkSize + 5, 2);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(file.index.verify(i, file.chunk(i)));
  }
  file.bytes[kMinChunkSize] ^= 1U;
  const auto bad = file.index.verify(1, file.chunk(1));
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Error::Code::kDigestMismatch);
  EXPECT_NE(bad.error().message().find("chunk 1"), std::string::npos);
  EXPECT_EQ(file.index.verify(2, file.chunk(1)).error().code(), Error::Code::kSizeMismatch);
  EXPECT_EQ(file.index.verify(3, file.chunk(1)).error().code(), Error::Code::kInvalidArgument);
}

TEST(ChunkIndex, HashesAFileForBothOfItsNames) {
  test::TempDir dir;
  SystemFileSystem fs;
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{kMinChunkSize}, std::size_t{5 * kMinChunkSize + 3}}) {
    const auto bytes = random_bytes(size, size);
    std::ofstream{dir / "f", std::ios::binary} << as_text(bytes);
    const auto hashed = hash_file(fs, dir / "f", kMinChunkSize);
    ASSERT_TRUE(hashed);
    EXPECT_EQ(hashed->digest, Digest::of(bytes));
    EXPECT_EQ(hashed->index, index_of(bytes, kMinChunkSize));
  }
  EXPECT_EQ(hash_file(fs, dir.path()).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(hash_file(fs, dir / "none").error().code(), Error::Code::kNotFound);
  std::ofstream{dir / "empty"};
  EXPECT_EQ(hash_file(fs, dir / "empty").error().code(), Error::Code::kInvalidArgument);
}

}  // namespace
}  // namespace skerry::registry
