#include "skerry/registry/chunk_sink.hpp"

#include <gtest/gtest.h>

#include "skerry/registry/catalogue.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kChunk = kMinChunkSize;

class ChunkSinkTest : public ::testing::Test {
 protected:
  ChunkSinkTest() {
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path()));
    ingest_ = std::move(*store_->begin(file_.digest(), file_.index));
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
  test::SampleFile file_ = test::make_file(FileRole::kWeights, "w", 6 * kChunk + 77, 1);
  std::unique_ptr<BlobIngest> ingest_;
};

TEST_F(ChunkSinkTest, CutsAStreamIntoChunks) {
  for (const std::size_t piece : {std::size_t{1'000'003}, std::size_t{77'777}}) {
    ChunkSink sink{*ingest_};
    ASSERT_TRUE(sink.seek(0));
    ByteView left{file_.bytes};
    while (!left.empty()) {
      const auto part = left.first(std::min(piece, left.size()));
      ASSERT_TRUE(sink.write(part));
      left = left.subspan(part.size());
    }
    ASSERT_TRUE(sink.flush());
  }
  EXPECT_TRUE(ingest_->missing().empty());
  EXPECT_TRUE(ingest_->finish());
}

TEST_F(ChunkSinkTest, TakesPositionedPieces) {
  ChunkSink sink{*ingest_, 1};
  ASSERT_TRUE(sink.write_at(2 * kChunk, file_.chunk(2)));
  ASSERT_TRUE(sink.write_at(3 * kChunk, file_.chunk(3).first(10)));
  EXPECT_EQ(sink.write_at(kChunk, file_.chunk(1)).error().code(), Error::Code::kFailedPrecondition);
  ASSERT_TRUE(sink.write_at(3 * kChunk + 10, file_.chunk(3).subspan(10)));
  EXPECT_EQ(sink.write_at(5, file_.chunk(0)).error().code(), Error::Code::kInvalidArgument);
  ASSERT_TRUE(sink.flush());
  EXPECT_EQ(ingest_->missing(), (std::vector<ChunkRun>{{0, 2}, {4, 3}}));
}

TEST_F(ChunkSinkTest, ABadChunkCostsThatChunkAlone) {
  file_.bytes[2 * kChunk + 9] ^= 1U;
  ChunkSink sink{*ingest_};
  ASSERT_TRUE(sink.write(file_.bytes));
  EXPECT_EQ(sink.flush().error().code(), Error::Code::kDigestMismatch);
  EXPECT_EQ(sink.rejected(), std::vector<std::uint64_t>{2});
  EXPECT_EQ(ingest_->missing(), (std::vector<ChunkRun>{{2, 1}}));
  file_.bytes[2 * kChunk + 9] ^= 1U;
  sink.reset();
  ASSERT_TRUE(sink.write_at(2 * kChunk, file_.chunk(2)));
  ASSERT_TRUE(sink.flush());
  EXPECT_TRUE(ingest_->finish());
}

TEST_F(ChunkSinkTest, StopsASourceThatSendsOnlyRubbish) {
  const auto rubbish = test::random_bytes(file_.bytes.size(), 99);
  ChunkSink sink{*ingest_, 1};
  const auto written = sink.write(rubbish);
  const auto flushed = sink.flush();
  EXPECT_EQ(flushed.error().code(), Error::Code::kDigestMismatch);
  EXPECT_GE(sink.rejected().size(), 4U);  // and what other threads had in hand by then
  EXPECT_EQ(ingest_->verified_bytes(), 0U);
}

TEST_F(ChunkSinkTest, SaysWhenAStreamEndsInsideAChunk) {
  ChunkSink sink{*ingest_};
  ASSERT_TRUE(sink.write(ByteView{file_.bytes}.first(kChunk + 5)));
  EXPECT_EQ(sink.flush().error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(ingest_->verified_bytes(), kChunk);
}

TEST_F(ChunkSinkTest, RefusesMoreThanTheBlobHas) {
  ChunkSink sink{*ingest_};
  auto longer = file_.bytes;
  longer.push_back(0);
  EXPECT_EQ(sink.write(longer).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(sink.seek(7 * kChunk).error().code(), Error::Code::kInvalidArgument);
}

// What a process leaves behind that dies with chunks in its queue: they were sheltered, no more.
TEST_F(ChunkSinkTest, ChunksThatWaitedWhenTheProcessDiedAreTakenAtResume) {
  ASSERT_TRUE(ingest_->write_chunk(0, file_.chunk(0)));
  ingest_->shelter(file_.chunk(6));  // the short last one, where a longer one was before
  const auto reused = ingest_->shelter(file_.chunk(3));
  ingest_->release(reused);
  ingest_->shelter(file_.chunk(4));
  ingest_->shelter(Bytes(kChunk, 7));  // wrong bytes
  ingest_.reset();
  ingest_ = std::move(*store_->begin(file_.digest(), file_.index));
  EXPECT_EQ(ingest_->missing(), (std::vector<ChunkRun>{{1, 3}, {5, 1}}));
  for (const std::uint64_t chunk : {1U, 2U, 3U, 5U}) {
    ASSERT_TRUE(ingest_->write_chunk(chunk, file_.chunk(chunk)));
  }
  ASSERT_TRUE(ingest_->finish());
  EXPECT_TRUE(store_->reverify(file_.digest()));
  EXPECT_TRUE(fs_.list(dir_ / "staging")->empty());
}

TEST_F(ChunkSinkTest, AStreamLeavesNoPlaceOccupied) {
  {
    ChunkSink sink{*ingest_, 1};
    ASSERT_TRUE(sink.seek(0));
    ASSERT_TRUE(sink.write(file_.bytes));
    ASSERT_TRUE(sink.flush());
  }
  // Every place is free again: the first one is given out next.
  EXPECT_EQ(ingest_->shelter(file_.chunk(1)), 0U);
}

TEST_F(ChunkSinkTest, AnIngestWithoutRoomToShelterGoesOn) {
  std::filesystem::create_directories(dir_ / "staging" / (file_.digest().hex() + ".inbox"));
  ChunkSink sink{*ingest_};
  ASSERT_TRUE(sink.seek(0));
  ASSERT_TRUE(sink.write(file_.bytes));
  ASSERT_TRUE(sink.flush());
  EXPECT_TRUE(ingest_->missing().empty());
}

}  // namespace
}  // namespace skerry::registry
