#include "skerry/registry/scrub.hpp"

#include <fstream>

#include <gtest/gtest.h>

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::SampleFile;
using namespace std::chrono_literals;

class ScrubTest : public ::testing::Test {
 protected:
  ScrubTest() {
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path()));
    EXPECT_TRUE(test::store_file(*store_, weights_));
    EXPECT_TRUE(test::record(
        *catalogue_, test::make_manifest("1.2.0", 1, {test::make_variant("q4_k_m", {weights_})})));
  }

  // A disk that returns other bytes: content changed, change time and all as they were, so that
  // only reading can tell.
  void rot(const Digest& digest, std::size_t offset) {
    const auto path = store_->path_of(digest);
    const auto before = *catalogue_->find_blob(digest);
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
    file.close();
    auto after = *before;
    after.ctime_ns = fs_.status(path)->ctime_ns;
    ASSERT_TRUE(catalogue_->put_blob(after));
  }

  Result<ScrubReport> scrub(const ScrubOptions& options = {}, const Scrubber::Heal& heal = {}) {
    Scrubber scrubber{*store_, *catalogue_, clock_, [this](std::chrono::nanoseconds wait) {
                        paused_ += wait;
                        clock_.advance(wait);
                      }};
    return scrubber.run(options, cancel_, heal);
  }

  Scrubber::Heal from_memory() {
    return [this](const WantedBlob& wanted) -> Result<void> {
      test::MemorySource source{"peer gw-7"};
      source.add(weights_);
      Fetcher fetcher{*store_, {&source}, clock_, [](auto) {}, Log{}};
      const std::vector<WantedBlob> all{wanted};
      auto done = fetcher.fetch(all, cancel_);
      return done ? Result<void>{} : done.error();
    };
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{std::chrono::hours{24 * 365 * 50}}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
  SampleFile weights_ = make_file(FileRole::kWeights, "w.gguf", 5 * kMinChunkSize + 9, 1);
  CancelFlag cancel_;
  std::chrono::nanoseconds paused_{0};
};

TEST_F(ScrubTest, SettlesWhatOnlyAnIndexVouchedFor) {
  EXPECT_TRUE((*catalogue_->find_blob(weights_.digest()))->chunks);
  auto report = scrub();
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->blobs, 2U);
  EXPECT_EQ(report->settled, 1U);
  EXPECT_EQ(report->bytes, weights_.bytes.size() + weights_.index.count() * 32);
  EXPECT_TRUE(report->findings.empty());
  EXPECT_FALSE((*catalogue_->find_blob(weights_.digest()))->chunks);
  EXPECT_FALSE(store_->open_verified(weights_.digest())->rehashed);
}

TEST_F(ScrubTest, QuarantinesRotThatTheFileIdentityCannotShowAndHealsIt) {
  rot(weights_.digest(), 2 * kMinChunkSize + 5);
  ASSERT_FALSE(store_->open_verified(WantedBlob::from(weights_.entry))->rehashed);
  const auto report = scrub({}, from_memory());
  ASSERT_TRUE(report) << report.error().message();
  ASSERT_EQ(report->findings.size(), 1U);
  EXPECT_EQ(report->findings[0],
            (ScrubFinding{weights_.digest(),
                          weights_.bytes.size(),
                          true,
                          "acme/log-triage 1.2.0 w.gguf: fetched again"}));
  EXPECT_EQ(fs_.list(dir_ / "quarantine")->size(), 1U);
  EXPECT_EQ(*store_->read(weights_.digest(), weights_.bytes.size()), weights_.bytes);
}

TEST_F(ScrubTest, SaysWhatItCouldNotHeal) {
  rot(weights_.digest(), 0);
  rot(weights_.entry.chunks, 0);
  const auto report = scrub();
  ASSERT_TRUE(report);
  ASSERT_EQ(report->findings.size(), 2U);
  for (const auto& finding : report->findings) {
    EXPECT_FALSE(finding.healed);
    EXPECT_NE(
        finding.detail.find(finding.digest == weights_.digest() ? "no source" : "no manifest"),
        std::string::npos)
        << finding.detail;
    EXPECT_FALSE(*store_->contains(finding.digest));
  }
}

TEST_F(ScrubTest, FindsAFileThatIsGone) {
  std::filesystem::remove(store_->path_of(weights_.digest()));
  const auto report = scrub({}, from_memory());
  ASSERT_TRUE(report);
  ASSERT_EQ(report->findings.size(), 1U);
  EXPECT_TRUE(report->findings[0].healed);
  EXPECT_TRUE(store_->open_verified(weights_.digest()));
}

TEST_F(ScrubTest, LeavesOutWhatWasCheckedLatelyAndTakesTheOldestFirst) {
  ScrubOptions options;
  options.older_than = 24h;
  ASSERT_TRUE(scrub(options));  // settles the weights
  EXPECT_EQ(scrub(options)->skipped, 2U);
  clock_.advance(25h);
  options.max_bytes = 1;
  EXPECT_EQ(scrub(options)->blobs, 1U);
  EXPECT_EQ(scrub(options)->blobs, 1U);
  EXPECT_EQ(scrub(options)->blobs, 0U);
}

TEST_F(ScrubTest, KeepsItsRateAndStopsWhenToldTo) {
  ScrubOptions options;
  options.rate_limit = 100'000;
  ASSERT_TRUE(scrub(options));
  const auto expected =
      std::chrono::duration<double>{static_cast<double>(weights_.bytes.size()) / 1e5};
  EXPECT_GT(paused_, 0.8 * expected);
  EXPECT_LT(paused_, 1.2 * expected);
  cancel_.cancel();
  EXPECT_EQ(scrub().error().code(), Error::Code::kCancelled);
}

}  // namespace
}  // namespace skerry::registry
