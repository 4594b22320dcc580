#include "skerry/registry/fetcher.hpp"

#include <thread>

#include <gtest/gtest.h>

#include "skerry/registry/catalogue.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::MemorySource;
using test::SampleFile;

constexpr std::size_t kChunk = kMinChunkSize;

class FetcherTest : public ::testing::Test {
 protected:
  FetcherTest() {
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path()));
  }

  Fetcher fetcher(std::vector<BlobSource*> sources) {
    return {*store_,
            std::move(sources),
            clock_,
            [this](std::chrono::nanoseconds time) {
              paused_ += time;
              clock_.advance(time);
            },
            Log{},
            options_};
  }

  Result<FetchProgress> fetch(std::vector<BlobSource*> sources,
                              const std::vector<SampleFile>& files) {
    std::vector<WantedBlob> wanted;
    for (const auto& file : files) {
      wanted.push_back(WantedBlob::from(file.entry));
    }
    return fetcher(std::move(sources)).fetch(wanted, cancel_);
  }

  void expect_stored(const SampleFile& file) {
    const auto bytes = store_->read(file.digest(), 64U << 20U);
    ASSERT_TRUE(bytes) << bytes.error().message();
    EXPECT_EQ(*bytes, file.bytes);
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
  std::chrono::nanoseconds paused_{};
  FetchOptions options_;
  CancelFlag cancel_;
  SampleFile large_ = make_file(FileRole::kWeights, "w", 5 * kChunk + 123, 1);
  SampleFile small_ = make_file(FileRole::kGolden, "g", 4000, 2);
};

TEST_F(FetcherTest, FetchesLargeAndSmallBlobs) {
  MemorySource source{"controller"};
  source.add(large_);
  source.add(small_);
  const auto done = fetch({&source}, {large_, small_, small_});
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(large_);
  expect_stored(small_);
  EXPECT_EQ(done->total_bytes, large_.bytes.size() + small_.bytes.size());
  EXPECT_EQ(done->done_bytes, done->total_bytes);
  EXPECT_EQ(done->blobs_done, 2U);
  EXPECT_EQ(done->fetched_bytes, done->total_bytes + large_.index.count() * 32);
  EXPECT_EQ(done->reused_bytes, 0U);
  // The index of the small one follows from its digest: index, large, small.
  EXPECT_EQ(source.requests().size(), 3U);
}

TEST_F(FetcherTest, AsksForNothingThatIsHere) {
  MemorySource source{"controller"};
  ASSERT_TRUE(test::store_file(*store_, large_));
  const auto done = fetch({&source}, {large_});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->reused_bytes, large_.bytes.size());
  EXPECT_EQ(done->fetched_bytes, 0U);
  EXPECT_TRUE(source.requests().empty());
}

TEST_F(FetcherTest, ResumesWithTheMissingChunksOnly) {
  ASSERT_TRUE(store_->put(large_.index.serialise()));
  {
    auto ingest = std::move(*store_->begin(large_.digest(), large_.index));
    ASSERT_TRUE(ingest->write_chunk(1, large_.chunk(1)));
    ASSERT_TRUE(ingest->write_chunk(3, large_.chunk(3)));
  }
  MemorySource source{"controller"};
  source.add(large_);
  const auto done = fetch({&source}, {large_});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->reused_bytes, 2 * kChunk);
  EXPECT_EQ(done->fetched_bytes, large_.bytes.size() - 2 * kChunk);
  expect_stored(large_);
}

TEST_F(FetcherTest, GoesOnWithAnotherSourceAfterABadChunk) {
  MemorySource bad{"peer"};
  bad.add(large_);
  bad.corrupt(large_.digest(), 2 * kChunk + 1);
  MemorySource good{"controller"};
  good.add(large_);
  const auto done = fetch({&bad, &good}, {large_});
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(large_);
  EXPECT_EQ(done->rejected_bytes, kChunk);
  // Of the good source only the one chunk was asked.
  ASSERT_EQ(good.requests().size(), 1U);
  EXPECT_EQ(good.requests()[0].offset, 2 * kChunk);
  EXPECT_EQ(good.requests()[0].length, kChunk);
}

TEST_F(FetcherTest, ABadChunkIndexIsNoBetter) {
  MemorySource bad{"peer"};
  bad.add(large_);
  bad.corrupt(large_.entry.chunks, 3);
  const auto failed = fetch({&bad}, {large_});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Error::Code::kDigestMismatch);
  EXPECT_FALSE(*store_->contains(large_.entry.chunks));
  MemorySource good{"controller"};
  good.add(large_);
  EXPECT_TRUE(fetch({&bad, &good}, {large_}));
}

TEST_F(FetcherTest, TriesAgainAfterABrokenConnectionAndLosesNoChunk) {
  MemorySource source{"controller"};
  source.add(large_);
  source.cut_after(2 * kChunk + 10, 2);
  const auto done = fetch({&source}, {large_});
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(large_);
  EXPECT_GT(paused_.count(), 0);
  // A cut costs less than a chunk each time (and a piece that the fake source sends at once).
  EXPECT_LT(done->fetched_bytes, large_.bytes.size() + 2 * kChunk + 1000);
}

TEST_F(FetcherTest, GivesUpAndNamesEveryAnswer) {
  MemorySource broken{"peer gw-7"};
  broken.add(large_);
  broken.cut_after(0, 1000);
  MemorySource empty{"bundle"};
  const auto failed = fetch({&broken, &empty}, {large_});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Error::Code::kUnavailable);
  EXPECT_NE(failed.error().message().find("peer gw-7: the connection broke"), std::string::npos);
  EXPECT_NE(failed.error().message().find("bundle: has no such blob"), std::string::npos);
  EXPECT_EQ(broken.requests().size(), 3U);
  EXPECT_EQ(empty.requests().size(), 1U);
  EXPECT_EQ(fetch({}, {large_}).error().code(), Error::Code::kUnavailable);
  MemorySource nothing{"bundle"};
  EXPECT_EQ(fetch({&nothing}, {large_}).error().code(), Error::Code::kNotFound);
}

TEST_F(FetcherTest, CancelKeepsWhatWasVerified) {
  MemorySource source{"controller"};
  // More chunks than all threads have in hand when the progress is seen.
  const auto file = make_file(FileRole::kWeights, "w", 24 * kChunk, 7);
  source.add(file);
  options_.queue_chunks = 1;
  std::vector<WantedBlob> wanted{WantedBlob::from(file.entry)};
  const auto stopped =
      fetcher({&source}).fetch(wanted, cancel_, [&](const FetchProgress& progress) {
        if (progress.done_bytes >= 2 * kChunk) {
          cancel_.cancel();
        }
      });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Error::Code::kCancelled);
  EXPECT_EQ(store_->in_flight()->size(), 1U);
  CancelFlag again;
  const auto done = fetcher({&source}).fetch(wanted, again);
  ASSERT_TRUE(done);
  EXPECT_GE(done->reused_bytes, 2 * kChunk);
  expect_stored(file);
}

TEST_F(FetcherTest, KeepsTheRateLimit) {
  MemorySource source{"controller"};
  source.add(large_);
  options_.rate_limit = 500'000;
  ASSERT_TRUE(fetch({&source}, {large_}));
  const auto expected = static_cast<double>(large_.bytes.size()) / 500'000;
  EXPECT_NEAR(std::chrono::duration<double>(paused_).count(), expected, 0.25);
}

TEST_F(FetcherTest, SplitsLongRequests) {
  MemorySource source{"controller"};
  source.add(large_);
  options_.max_request = 2 * kChunk;
  ASSERT_TRUE(fetch({&source}, {large_}));
  EXPECT_EQ(source.requests().size(), 1U + 3U);
  expect_stored(large_);
}

TEST_F(FetcherTest, RefusesAWishThatCannotBe) {
  MemorySource source{"controller"};
  auto wrong = WantedBlob::from(large_.entry);
  wrong.chunk_size = 1000;
  CancelFlag cancel;
  EXPECT_EQ(fetcher({&source}).fetch({&wrong, 1}, cancel).error().code(),
            Error::Code::kInvalidArgument);
  auto single = WantedBlob::from(small_.entry);
  single.chunks = Digest::of("x");
  EXPECT_EQ(fetcher({&source}).fetch({&single, 1}, cancel).error().code(),
            Error::Code::kDigestMismatch);
}

TEST_F(FetcherTest, CountsWhatIsMissing) {
  std::vector<WantedBlob> wanted{WantedBlob::from(large_.entry), WantedBlob::from(small_.entry)};
  EXPECT_EQ(*fetcher({}).bytes_missing(wanted), large_.bytes.size() + small_.bytes.size());
  ASSERT_TRUE(test::store_file(*store_, large_));
  EXPECT_EQ(*fetcher({}).bytes_missing(wanted), small_.bytes.size());
}

TEST_F(FetcherTest, ReadsAFolderOfBlobs) {
  ASSERT_TRUE(test::store_file(*store_, large_));
  test::TempDir other;
  auto catalogue = std::move(*Catalogue::open(other / "registry.db", clock_));
  auto store = std::move(*BlobStore::open(fs_, *catalogue, clock_, other.path()));
  FileSource folder{fs_, dir_ / "blobs"};
  Fetcher fetcher{*store, {&folder}, clock_, [](auto) {}, Log{}};
  std::vector<WantedBlob> wanted{WantedBlob::from(large_.entry)};
  CancelFlag cancel;
  const auto done = fetcher.fetch(wanted, cancel);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(*store->read(large_.digest(), 64U << 20U), large_.bytes);
  std::vector<WantedBlob> missing{WantedBlob::from(small_.entry)};
  EXPECT_EQ(fetcher.fetch(missing, cancel).error().code(), Error::Code::kNotFound);
}

TEST(TokenBucket, LetsABurstPassAndThenTheRate) {
  using std::chrono::seconds;
  TokenBucket bucket{1000, 500, seconds{10}};
  EXPECT_EQ(bucket.take(500, seconds{10}).count(), 0);
  EXPECT_EQ(bucket.take(1000, seconds{10}), seconds{1});
  EXPECT_EQ(bucket.take(1000, seconds{11}), seconds{1});
  // A long rest gives no more than the burst.
  EXPECT_EQ(bucket.take(500, seconds{1000}).count(), 0);
  EXPECT_GT(bucket.take(500, seconds{1000}).count(), 0);
  EXPECT_EQ((TokenBucket{0, 0, seconds{1}}.take(1U << 30U, seconds{1}).count()), 0);
}

class ParallelFetchTest : public FetcherTest {
 protected:
  ParallelFetchTest() { options_.parallel = true; }

  // Threads wait for each other here: time passes by itself.
  Result<FetchProgress> fetch_all(std::vector<BlobSource*> sources, const SampleFile& file) {
    const SystemClock clock;
    options_.retry_wait = std::chrono::milliseconds{1};
    Fetcher fetcher{*store_,
                    std::move(sources),
                    clock,
                    [](std::chrono::nanoseconds) { std::this_thread::yield(); },
                    Log{},
                    options_};
    const std::vector<WantedBlob> wanted{WantedBlob::from(file.entry)};
    return fetcher.fetch(wanted, cancel_);
  }

  SampleFile many_ = make_file(FileRole::kWeights, "m", 40 * kChunk + 9, 3);
};

TEST_F(ParallelFetchTest, EverySourceBringsItsPartAndNoByteComesTwice) {
  MemorySource a{"a"};
  MemorySource b{"b"};
  MemorySource c{"c"};
  for (auto* source : {&a, &b, &c}) {
    source->add(many_);
  }
  const auto done = fetch_all({&a, &b, &c}, many_);
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(many_);
  EXPECT_EQ(done->done_bytes, many_.bytes.size());
  std::uint64_t credited = 0;
  for (const auto& [name, bytes] : done->by_source) {
    credited += bytes;
  }
  EXPECT_EQ(credited, many_.bytes.size());
}

TEST_F(ParallelFetchTest, AWrongChunkCostsThatChunkAndTheSourceIsNamed) {
  MemorySource good{"good"};
  MemorySource bad{"bad"};
  good.add(many_);
  bad.add(many_);
  for (std::uint64_t chunk = 0; chunk < many_.index.count(); ++chunk) {
    bad.corrupt(many_.digest(), chunk * kChunk + 1);
  }
  const auto done = fetch_all({&bad, &good}, many_);
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(many_);
  EXPECT_EQ(done->by_source.count("bad"), 0U);
  EXPECT_LE(done->rejected_bytes, 4 * kChunk);
}

TEST_F(ParallelFetchTest, ABrokenSourceIsReplacedAndAllBrokenAreNamed) {
  MemorySource broken{"broken"};
  MemorySource good{"good"};
  broken.add(many_);
  broken.cut_after(kChunk + 7, 1000);
  good.add(many_);
  const auto done = fetch_all({&broken, &good}, many_);
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(many_);
  MemorySource empty{"empty"};
  MemorySource dead{"dead"};
  const auto other = make_file(FileRole::kWeights, "o", 9 * kChunk, 4);
  empty.add(other.index.serialise());
  dead.add(other);
  dead.cut_after(0, 1000);
  ASSERT_TRUE(store_->put(other.index.serialise()));
  const auto failed = fetch_all({&empty, &dead}, other);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Error::Code::kUnavailable);
  EXPECT_NE(failed.error().message().find("empty: has no such blob"), std::string::npos);
  EXPECT_NE(failed.error().message().find("dead: the connection broke"), std::string::npos);
}

TEST_F(ParallelFetchTest, AFailureOfTheStoreIsNoFaultOfASource) {
  MemorySource a{"a"};
  MemorySource b{"b"};
  a.add(many_);
  b.add(many_);
  ASSERT_TRUE(store_->put(many_.index.serialise()));
  // A folder stands where the blob belongs.
  std::filesystem::create_directories(store_->path_of(many_.digest()));
  const auto failed = fetch_all({&a, &b}, many_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message().find("could not be fetched"), std::string::npos);
}

// The budget is for the link: what the site has is free.
class UsedUp final : public LinkBudget {
 public:
  Result<void> spend(std::uint64_t) override {
    return Error{Error::Code::kResourceExhausted, "the byte budget of today is used"};
  }
};

TEST_F(ParallelFetchTest, WithoutBudgetOnlyTheSiteServes) {
  UsedUp none;
  options_.budget = &none;
  MemorySource controller{"controller"};
  controller.add(many_);
  const auto failed = fetch_all({&controller}, many_);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code(), Error::Code::kResourceExhausted);
  EXPECT_EQ(controller.requests().size(), 1U) << "asked again in vain";
  test::TempDir other;
  auto catalogue = std::move(*Catalogue::open(other / "registry.db", clock_));
  auto store = std::move(*BlobStore::open(fs_, *catalogue, clock_, other.path()));
  ASSERT_TRUE(test::store_file(*store, many_));
  FileSource stick{fs_, other / "blobs"};
  const auto done = fetch_all({&controller, &stick}, many_);
  ASSERT_TRUE(done) << done.error().message();
  expect_stored(many_);
  EXPECT_LT(done->link_bytes, kChunk) << "asked once, in vain";
}

}  // namespace
}  // namespace skerry::registry
