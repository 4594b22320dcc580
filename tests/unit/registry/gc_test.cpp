#include "skerry/registry/gc.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::make_variant;
using test::SampleFile;

class GcTest : public ::testing::Test {
 protected:
  GcTest() {
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path()));
  }

  struct Version {
    SampleFile q4;
    SampleFile q8;
    Digest manifest;
  };

  // Both variants stored, the manifest recorded.
  Version add_version(std::string_view version, std::uint64_t counter) {
    Version v{make_file(FileRole::kWeights, "q4", 3000 + counter, counter),
              make_file(FileRole::kWeights, "q8", 9000 + counter, counter + 50),
              {}};
    EXPECT_TRUE(test::store_file(*store_, v.q4));
    EXPECT_TRUE(test::store_file(*store_, v.q8));
    v.manifest = *test::record(
        *catalogue_,
        test::make_manifest(
            version, counter, {make_variant("q4_k_m", {v.q4}), make_variant("q8_0", {v.q8})}));
    return v;
  }

  void activate(std::uint64_t generation, const Version& version, bool commit = true) {
    ActivationRequest request;
    request.slot = slot_;
    request.generation = generation;
    request.manifest = version.manifest;
    request.variant = "q4_k_m";
    request.probation = !commit;
    ASSERT_TRUE(catalogue_->activate(request));
  }

  std::string why(const Digest& digest,
                  const std::set<Digest>& leased = {},
                  const GcGoal& goal = {}) {
    const auto plan = plan_gc(*catalogue_, *store_, leased, goal);
    EXPECT_TRUE(plan);
    for (const auto& entry : plan->entries) {
      if (entry.digest == digest) {
        return entry.why;
      }
    }
    return "not there";
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
  const SlotName slot_{"default"};
  std::uint64_t generation_ = 0;
};

TEST_F(GcTest, KeepsActivePreviousTrialPinnedDesiredLeasedAndSaysWhy) {
  const auto v1 = add_version("1.0.0", 1);
  const auto v2 = add_version("1.1.0", 2);
  const auto v3 = add_version("1.2.0", 3);
  const auto v4 = add_version("1.3.0", 4);
  activate(1, v1);
  activate(2, v2);
  EXPECT_EQ(why(v2.q4.digest()), "active in slot default (acme/log-triage 1.1.0 q4_k_m)");
  EXPECT_EQ(why(v1.q4.digest()), "previous in slot default (acme/log-triage 1.0.0 q4_k_m)");
  EXPECT_EQ(why(v2.q4.entry.chunks), why(v2.q4.digest()));
  EXPECT_EQ(why(v2.q8.digest()), "unreferenced, never used");
  activate(3, v3, false);
  EXPECT_EQ(why(v3.q4.digest()), "on trial in slot default (acme/log-triage 1.2.0 q4_k_m)");
  EXPECT_EQ(why(v1.q4.digest()), "unreferenced, last used 1970-01-01T00:00:00Z");
  ASSERT_TRUE(catalogue_->pin(v1.manifest, "q8_0", "audit"));
  EXPECT_EQ(why(v1.q8.digest()), "pinned: audit (acme/log-triage 1.0.0 q8_0)");
  DesiredSlot desired;
  desired.slot = slot_;
  desired.generation = 4;
  desired.manifest = v4.manifest;
  ASSERT_TRUE(catalogue_->set_desired(desired));
  EXPECT_EQ(why(v4.q8.digest()), "desired in slot default (acme/log-triage 1.3.0 q8_0)");
  EXPECT_EQ(why(v1.q4.digest(), {v1.q4.digest()}), "leased by a worker");

  const auto report = run_gc(*catalogue_, *store_, {v3.q8.digest()});
  ASSERT_TRUE(report);
  for (const auto* kept : {&v2.q4, &v3.q4, &v1.q8, &v4.q4, &v4.q8, &v3.q8}) {
    EXPECT_TRUE(store_->open_verified(kept->digest())) << kept->entry.name;
  }
  for (const auto* gone : {&v1.q4, &v2.q8}) {
    EXPECT_FALSE(*store_->contains(gone->digest()));
    EXPECT_FALSE(fs_.exists(store_->path_of(gone->digest())));
  }
  EXPECT_EQ(plan_gc(*catalogue_, *store_, {v3.q8.digest()})->reclaimable, 0U);
}

TEST_F(GcTest, DryRunRemovesNothing) {
  const auto v1 = add_version("1.0.0", 1);
  const auto plan = plan_gc(*catalogue_, *store_, {});
  EXPECT_EQ(plan->entries.size(), 4U);
  EXPECT_EQ(plan->kept, 0U);
  EXPECT_EQ(plan->reclaimable, v1.q4.bytes.size() + v1.q8.bytes.size() + 64U);
  EXPECT_TRUE(*store_->contains(v1.q4.digest()));
}

TEST_F(GcTest, StopsWhenEnoughIsFreeLargestFirst) {
  const auto v1 = add_version("1.0.0", 1);
  const auto report = run_gc(*catalogue_, *store_, {}, GcGoal{.wanted_bytes = 5000});
  EXPECT_EQ(report->removed, 1U);
  EXPECT_FALSE(*store_->contains(v1.q8.digest()));
  EXPECT_TRUE(*store_->contains(v1.q4.digest()));
}

TEST_F(GcTest, KeepsAFileThatTwoVersionsShare) {
  const auto v1 = add_version("1.0.0", 1);
  const auto manifest = test::make_manifest("2.0.0", 9, {make_variant("q4_k_m", {v1.q4})});
  const Version v2{v1.q4, v1.q8, *test::record(*catalogue_, manifest)};
  activate(1, v2);
  ASSERT_TRUE(run_gc(*catalogue_, *store_, {}));
  EXPECT_TRUE(*store_->contains(v1.q4.digest()));
  EXPECT_FALSE(*store_->contains(v1.q8.digest()));
}

TEST_F(GcTest, DoesNotClaimWhatIsReferredToByNow) {
  const auto v1 = add_version("1.0.0", 1);
  activate(1, v1);
  EXPECT_FALSE(*catalogue_->claim_for_deletion(v1.q4.digest()));
  EXPECT_TRUE(*catalogue_->claim_for_deletion(v1.q8.digest()));
  EXPECT_FALSE(*catalogue_->claim_for_deletion(Digest::of("unknown")));
  // What was claimed cannot be activated any more.
  ActivationRequest request;
  request.slot = SlotName{"second"};
  request.generation = 1;
  request.manifest = v1.manifest;
  request.variant = "q8_0";
  EXPECT_EQ(catalogue_->activate(request).error().code(), Error::Code::kFailedPrecondition);
}

TEST_F(GcTest, LeavesAnInterruptedFetchAlone) {
  const auto file = make_file(FileRole::kWeights, "w", 3 * kMinChunkSize, 8);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
  }
  ASSERT_TRUE(run_gc(*catalogue_, *store_, {}));
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  EXPECT_TRUE(ingest->has_chunk(0));
}

TEST_F(GcTest, WaterMarksRemoveTheLeastRecentlyUsedAndSayWhatTheyKept) {
  clock_.set_wall(WallTime{std::chrono::hours{24 * 365 * 50}});
  const auto v1 = add_version("1.0.0", 1);
  const auto v2 = add_version("1.1.0", 2);
  const auto v3 = add_version("1.2.0", 3);
  for (const auto* version : {&v1, &v2, &v3}) {
    activate(++generation_, *version);
    clock_.advance(std::chrono::hours{1});
  }
  // v3 is active, v2 previous; v1 was used, every q8 never was.
  const auto all = plan_gc(*catalogue_, *store_, {});
  const auto total = all->kept + all->reclaimable;
  GcGoal goal{.high = total, .low = total};
  const auto below = plan_gc(*catalogue_, *store_, {}, goal);
  EXPECT_EQ(below->reclaimable, 0U);
  EXPECT_NE(why(v1.q4.digest(), {}, goal).find("are below the high water mark"), std::string::npos);

  goal.high = total - 1;
  goal.low = total - 3 * 9000;
  const auto report = run_gc(*catalogue_, *store_, {}, goal);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->removed, 3U);
  for (const auto* version : {&v1, &v2, &v3}) {
    EXPECT_FALSE(*store_->contains(version->q8.digest()));
    EXPECT_TRUE(*store_->contains(version->q4.digest()));
  }
  EXPECT_EQ(run_gc(*catalogue_, *store_, {}, goal)->removed, 0U);
}

// What a worker has open gives nothing back: it does not count as room.
TEST_F(GcTest, MakesNoRoomOfWhatWorkersLease) {
  const auto v1 = add_version("1.0.0", 1);
  activate(1, v1);
  const GcGoal goal{.high = 13'000, .low = 4'000, .incoming = 8'000};
  const auto full = make_room(*catalogue_, *store_, {v1.q8.digest()}, goal);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), Error::Code::kQuotaExceeded);
  EXPECT_TRUE(*store_->contains(v1.q8.digest()));
  ASSERT_TRUE(make_room(*catalogue_, *store_, {}, goal)) << "once the worker is gone";
  EXPECT_FALSE(*store_->contains(v1.q8.digest()));
}

TEST_F(GcTest, MakesRoomOrSaysThatTheQuotaIsFull) {
  const auto v1 = add_version("1.0.0", 1);
  activate(1, v1);
  GcGoal goal{.high = 13'000, .low = 4'000, .incoming = 8'000};
  const auto room = make_room(*catalogue_, *store_, {}, goal);
  ASSERT_TRUE(room) << room.error().message();
  EXPECT_FALSE(*store_->contains(v1.q8.digest()));
  goal.incoming = 11'000;
  const auto full = make_room(*catalogue_, *store_, {}, goal);
  EXPECT_EQ(full.error().code(), Error::Code::kQuotaExceeded);
  EXPECT_TRUE(*store_->contains(v1.q4.digest()));
  EXPECT_TRUE(make_room(*catalogue_, *store_, {}, GcGoal{.incoming = 1ULL << 40U}));
}

}  // namespace
}  // namespace skerry::registry
