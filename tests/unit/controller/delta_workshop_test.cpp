#include "skerry/controller/delta_workshop.hpp"

#include <thread>

#include <gtest/gtest.h>

#include "skerry/registry/delta.hpp"

#include "memory_file.hpp"
#include "model_pair.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

class DeltaWorkshopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    blobs_ = std::move(*BlobVault::open(fs_, dir_ / "blobs", 1U << 30U));
    open(1U << 30U);
  }
  void open(std::uint64_t cache) {
    workshop_.reset();
    auto opened = DeltaWorkshop::open(fs_, dir_ / "deltas", *blobs_, cache, Log{});
    ASSERT_TRUE(opened) << opened.error().to_string();
    workshop_ = std::move(*opened);
  }
  // A model of one matrix, moved by a part in `part`.
  Digest model(std::int32_t part) {
    const std::vector<test::PairTensor> tensors{{"w", 8, {1024, 512}}};
    content_ = part == 0 ? test::model_bytes(tensors) : test::model_bytes(tensors, {"w"}, part);
    return *blobs_->put(content_);
  }
  // Asks until nothing is pending; the maker is a thread of its own.
  DeltaAnswer settled(const Digest& target, const std::vector<Digest>& held) {
    for (;;) {
      const auto answer = workshop_->find(target, held);
      if (answer.state != DeltaAnswer::State::kPending) {
        return answer;
      }
      std::this_thread::yield();
    }
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  std::string content_;
  std::unique_ptr<BlobVault> blobs_;
  std::unique_ptr<DeltaWorkshop> workshop_;
};

TEST_F(DeltaWorkshopTest, MakesADeltaOnceAndServesItAsABlobWithItsIndex) {
  const auto base = model(0);
  const std::string base_bytes = content_;
  const auto target = model(300);
  EXPECT_EQ(workshop_->find(target, std::vector{base}).state, DeltaAnswer::State::kPending);
  const auto answer = settled(target, {base});
  ASSERT_EQ(answer.state, DeltaAnswer::State::kReady);
  EXPECT_EQ(answer.kept.base, base);
  EXPECT_LT(answer.kept.size, content_.size() / 4);
  const auto mapped = workshop_->vault().map(answer.kept.delta);
  ASSERT_TRUE(mapped);
  EXPECT_EQ(Digest::of((*mapped)->bytes()), answer.kept.delta);
  test::MemoryFile delta{std::string{as_text((*mapped)->bytes())}};
  const auto summary = registry::inspect_delta(delta);
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->header.target, target);
}

TEST_F(DeltaWorkshopTest, ARestartKeepsWhatWasMade) {
  const auto base = model(0);
  const auto target = model(300);
  const auto before = settled(target, {base});
  open(1U << 30U);
  const auto after = workshop_->find(target, std::vector{base});
  ASSERT_EQ(after.state, DeltaAnswer::State::kReady);
  EXPECT_EQ(after.kept.delta, before.kept.delta);
  EXPECT_EQ(after.kept.chunks, before.kept.chunks);
}

TEST_F(DeltaWorkshopTest, PrefersAHeldBaseThatHasADelta) {
  const auto other = model(7);
  const auto base = model(0);
  const auto target = model(300);
  ASSERT_EQ(settled(target, {base}).state, DeltaAnswer::State::kReady);
  const auto answer = workshop_->find(target, std::vector{Digest::of("elsewhere"), other, base});
  ASSERT_EQ(answer.state, DeltaAnswer::State::kReady);
  EXPECT_EQ(answer.kept.base, base);
}

TEST_F(DeltaWorkshopTest, SaysNoneForUnknownBlobsSmallOnesAndUnlikeOnes) {
  const auto target = model(300);
  EXPECT_EQ(workshop_->find(target, std::vector{Digest::of("elsewhere")}).state,
            DeltaAnswer::State::kNone);
  EXPECT_EQ(workshop_->find(Digest::of("elsewhere"), std::vector{target}).state,
            DeltaAnswer::State::kNone);
  const auto small = *blobs_->put("a small blob");
  EXPECT_EQ(workshop_->find(small, std::vector{target}).state, DeltaAnswer::State::kNone);
  Bytes noise(1U << 20U);
  FakeRandom{3}.fill(noise);
  const auto unlike = *blobs_->put(as_text(noise));
  EXPECT_EQ(settled(unlike, {target}).state, DeltaAnswer::State::kNone);
}

TEST_F(DeltaWorkshopTest, StaysWithinItsCache) {
  const auto base = model(0);
  const auto first = model(300);
  const auto second = model(299);
  const auto one = settled(first, {base});
  ASSERT_EQ(one.state, DeltaAnswer::State::kReady);
  open(one.kept.size + one.kept.size / 2);
  ASSERT_EQ(settled(second, {base}).state, DeltaAnswer::State::kReady);
  EXPECT_FALSE(workshop_->vault().has(one.kept.delta)) << "the one that was not used went";
}

TEST_F(DeltaWorkshopTest, MakesNothingWithoutACache) {
  const auto base = model(0);
  const auto target = model(300);
  open(0);
  EXPECT_EQ(workshop_->find(target, std::vector{base}).state, DeltaAnswer::State::kNone);
}

}  // namespace
}  // namespace skerry::controller
