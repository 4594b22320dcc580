// Garbage collection beside everything else: what it claimed is wanted again before it is removed,
// it takes a file that is just being hashed, and it runs without a pause beside fetches,
// activations and a scrub. Whatever was desired, fetched and made live stays.

#include <atomic>
#include <fstream>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "skerry/registry/gc.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::SampleFile;

class GcRaceTest : public ::testing::Test {
 protected:
  GcRaceTest() {
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path()));
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  const FakeClock clock_{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
};

TEST_F(GcRaceTest, WhatWasClaimedAndStoredAnewStays) {
  const auto digest = *store_->put(as_bytes("weights"));
  ASSERT_TRUE(*catalogue_->claim_for_deletion(digest));
  // Somebody wants it between the two phases, finishes the removal and brings it again.
  ASSERT_TRUE(store_->put(as_bytes("weights")));
  const auto removed = store_->remove_claimed(digest);
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_FALSE(*removed);
  EXPECT_EQ(as_text(*store_->read(digest, 100)), "weights");
}

TEST_F(GcRaceTest, WhatWasClaimedAndRemovedByAnotherIsNoError) {
  const auto digest = *store_->put(as_bytes("weights"));
  ASSERT_TRUE(*catalogue_->claim_for_deletion(digest));
  ASSERT_FALSE(*store_->settle(digest)) << "whoever asks for it finishes the removal";
  const auto removed = store_->remove_claimed(digest);
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_FALSE(*removed);
  EXPECT_FALSE(fs_.exists(store_->path_of(digest)));
}

TEST_F(GcRaceTest, WhatIsCollectedWhileItIsHashedStaysGone) {
  const auto digest = *store_->put(as_bytes("weights"));
  std::uint64_t collected = 0;
  const auto blob = store_->reverify(digest, [&](std::size_t) -> Result<void> {
    const auto report = run_gc(*catalogue_, *store_, {});
    collected += report ? report->removed : 0;
    return report ? Result<void>{} : report.error();
  });
  EXPECT_EQ(collected, 1U);
  ASSERT_TRUE(blob) << "its descriptor gives the bytes that were hashed";
  EXPECT_FALSE(*store_->contains(digest)) << "no record without a file";
  EXPECT_TRUE(catalogue_->list_blobs()->empty());
}

TEST_F(GcRaceTest, RotThatWasCollectedMeanwhileCostsTheFreshFileNothing) {
  const auto digest = *store_->put(as_bytes("weights"));
  const auto path = store_->path_of(digest);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream{path, std::ios::binary} << "wrights";
  bool first = true;
  const auto blob = store_->reverify(digest, [&](std::size_t) -> Result<void> {
    if (std::exchange(first, false)) {
      EXPECT_EQ(run_gc(*catalogue_, *store_, {})->removed, 1U);
      EXPECT_TRUE(store_->put(as_bytes("weights")));
    }
    return {};
  });
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().code(), Error::Code::kDigestMismatch);
  EXPECT_EQ(as_text(*store_->read(digest, 100)), "weights");
  EXPECT_TRUE(fs_.list(dir_ / "quarantine")->empty());
}

struct Release {
  SampleFile weights;
  Digest manifest;
};

// Three versions take turns in one slot. As two are kept, the collector always has one to take,
// while it is fetched again, made live and scrubbed.
class Turns {
 public:
  Turns(Catalogue& catalogue, BlobStore& store) : catalogue_(catalogue), store_(store) {
    for (const char* version : {"1.0.0", "1.1.0", "1.2.0"}) {
      const auto counter = releases_.size() + 1;
      auto weights = make_file(FileRole::kWeights, "w.gguf", 2 * kMinChunkSize + 7, counter);
      const auto manifest =
          test::make_manifest(version, counter, {test::make_variant("q4_k_m", {weights})});
      releases_.push_back({std::move(weights), *test::record(catalogue, manifest)});
    }
  }

  [[nodiscard]] const std::vector<Release>& releases() const { return releases_; }

  // As the daemon does: the wish first, which keeps what comes; then the fetch and the commit.
  Result<void> take(std::uint64_t generation) {
    const Release& release = releases_[generation % releases_.size()];
    DesiredSlot desired;
    desired.slot = SlotName{"default"};
    desired.generation = generation;
    desired.manifest = release.manifest;
    if (auto ok = catalogue_.set_desired(desired); !ok) {
      return ok;
    }
    auto stored = test::store_file(store_, release.weights);
    if (!stored && stored.error().code() != Error::Code::kAlreadyExists) {
      return stored;
    }
    ActivationRequest request;
    request.slot = desired.slot;
    request.generation = generation;
    request.manifest = release.manifest;
    request.variant = "q4_k_m";
    request.probation = false;
    request.permit_downgrade = true;
    if (auto live = catalogue_.activate(request); !live) {
      return live.error();
    }
    auto opened = store_.open_verified(WantedBlob::from(release.weights.entry));
    return opened ? Result<void>{} : opened.error();
  }

 private:
  Catalogue& catalogue_;
  BlobStore& store_;
  std::vector<Release> releases_;
};

TEST_F(GcRaceTest, WhatIsDesiredFetchedAndMadeLiveIsNeverTaken) {
  constexpr std::uint64_t kGenerations = 150;
  Turns turns{*catalogue_, *store_};
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> removed{0};
  std::thread collector{[&] {
    while (!over) {
      const auto report = run_gc(*catalogue_, *store_, {});
      EXPECT_TRUE(report) << report.error().message();
      removed += report ? report->removed : 0;
    }
  }};
  std::thread scrub{[&] {
    while (!over) {
      for (const Release& release : turns.releases()) {
        const auto blob = store_->reverify(release.weights.digest());
        EXPECT_TRUE(blob || blob.error().code() == Error::Code::kNotFound)
            << blob.error().message();
      }
    }
  }};
  for (std::uint64_t generation = 1; generation <= kGenerations; ++generation) {
    const auto taken = turns.take(generation);
    EXPECT_TRUE(taken) << "generation " << generation << ": " << taken.error().message();
  }
  over = true;
  collector.join();
  scrub.join();
  EXPECT_GT(removed, 0U);
  // Catalogue and files agree.
  const auto records = catalogue_->list_blobs();
  ASSERT_TRUE(records);
  for (const auto& record : *records) {
    EXPECT_TRUE(store_->open_unverified(record.digest)) << record.digest.to_string();
  }
  EXPECT_TRUE(fs_.list(dir_ / "quarantine")->empty());
}

}  // namespace
}  // namespace skerry::registry
