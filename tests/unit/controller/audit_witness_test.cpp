#include "audit_witness.hpp"

#include <gtest/gtest.h>

#include "skerry/security/checkpoint.hpp"

namespace skerry::controller {
namespace {

class WitnessTest : public ::testing::Test {
 protected:
  fleet::v1::AuditCheckpoint checkpoint(std::uint64_t size, const std::string& tree = "tree") {
    const security::Checkpoint head{"skerry.audit/gw-1", size, Digest::of(tree)};
    fleet::v1::AuditCheckpoint out;
    out.set_size(size);
    out.set_root(head.root.raw());
    out.set_note(*security::sign_checkpoint(head, head.origin, *key_));
    out.set_verifier_key(*security::note_verifier_key(head.origin, key_->public_key()));
    return out;
  }

  std::unique_ptr<security::Signer> key_ =
      std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
};

TEST_F(WitnessTest, KeepsTheFirstCheckpointAndItsKey) {
  const auto verdict = judge_checkpoint("gw-1", std::nullopt, checkpoint(5), true, 77);
  EXPECT_TRUE(verdict.changed);
  EXPECT_EQ(verdict.finding, "");
  EXPECT_EQ(verdict.record.size, 5);
  EXPECT_EQ(verdict.record.root, Digest::of("tree").hex());
  EXPECT_EQ(verdict.record.at_ms, 77);
  EXPECT_FALSE(verdict.record.verifier_key.empty());
}

TEST_F(WitnessTest, GrowsAndIgnoresOlderOnesFromTheOutbox) {
  auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(5), true, 1).record;
  held = judge_checkpoint("gw-1", held, checkpoint(9, "more"), false, 2).record;
  EXPECT_EQ(held.size, 9);
  const auto old = judge_checkpoint("gw-1", held, checkpoint(5), false, 3);
  EXPECT_FALSE(old.changed);
  EXPECT_EQ(old.finding, "");
}

TEST_F(WitnessTest, FlagsALogThatShrank) {
  const auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  const auto verdict = judge_checkpoint("gw-1", held, checkpoint(5), true, 2);
  EXPECT_TRUE(verdict.changed);
  EXPECT_EQ(verdict.record.flag, "rollback: the log had 9 records, now it has 5");
  EXPECT_EQ(verdict.record.size, 9) << "the larger head is kept";
}

TEST_F(WitnessTest, FlagsTwoTreesOfOneSize) {
  const auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  const auto verdict = judge_checkpoint("gw-1", held, checkpoint(9, "other"), false, 2);
  EXPECT_EQ(verdict.finding, "fork: two different trees of size 9");
  EXPECT_EQ(verdict.record.root, Digest::of("tree").hex());
}

TEST_F(WitnessTest, TheSameCheckpointAgainChangesNothing) {
  const auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  EXPECT_FALSE(judge_checkpoint("gw-1", held, checkpoint(9), true, 2).changed);
}

TEST_F(WitnessTest, FlagsAnotherKeyAndAForgedNote) {
  const auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  key_ = std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
  EXPECT_NE(
      judge_checkpoint("gw-1", held, checkpoint(10), true, 2).finding.find("another audit key"),
      std::string::npos);
  auto without_key = checkpoint(10);
  without_key.clear_verifier_key();
  EXPECT_NE(judge_checkpoint("gw-1", held, without_key, true, 2).finding.find("not signed"),
            std::string::npos);
}

TEST_F(WitnessTest, FlagsFieldsThatDisagreeWithTheNote) {
  auto lie = checkpoint(9);
  lie.set_size(10);
  EXPECT_NE(judge_checkpoint("gw-1", std::nullopt, lie, true, 1).finding, "");
  auto garbage = checkpoint(9);
  garbage.set_note("garbage");
  garbage.clear_verifier_key();
  EXPECT_NE(judge_checkpoint("gw-1", std::nullopt, garbage, true, 1).finding.find("malformed"),
            std::string::npos);
}

TEST_F(WitnessTest, TheFirstFindingStays) {
  auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  held = judge_checkpoint("gw-1", held, checkpoint(5), true, 2).record;
  const auto flag = held.flag;
  held = judge_checkpoint("gw-1", held, checkpoint(9, "other"), true, 3).record;
  EXPECT_EQ(held.flag, flag);
}

}  // namespace
}  // namespace skerry::controller
