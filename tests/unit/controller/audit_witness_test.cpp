#include "audit_witness.hpp"

#include <gtest/gtest.h>

#include "skerry/security/checkpoint.hpp"
#include "skerry/security/merkle.hpp"

namespace skerry::controller {
namespace {

// `count` records, the ones from `changed` on written differently.
std::vector<Digest> log_of(std::uint64_t count, std::uint64_t changed = ~0ULL) {
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < count; ++i) {
    leaves.push_back(
        security::merkle_leaf(as_bytes((i < changed ? "record " : "forged ") + std::to_string(i))));
  }
  return leaves;
}

class WitnessTest : public ::testing::Test {
 protected:
  fleet::v1::AuditCheckpoint checkpoint(std::uint64_t size, const std::string& tree = "tree") {
    return signed_head(size, Digest::of(tree));
  }

  fleet::v1::AuditCheckpoint signed_head(std::uint64_t size, const Digest& root) {
    const security::Checkpoint head{"skerry.audit/gw-1", size, root};
    fleet::v1::AuditCheckpoint out;
    out.set_size(size);
    out.set_root(head.root.raw());
    out.set_note(*security::sign_checkpoint(head, head.origin, *key_));
    out.set_verifier_key(*security::note_verifier_key(head.origin, key_->public_key()));
    return out;
  }
  fleet::v1::AuditCheckpoint head_of(const std::vector<Digest>& log) {
    return signed_head(log.size(), security::merkle_root(log));
  }
  AuditWitnessRecord held_at(const std::vector<Digest>& log) {
    return judge_checkpoint("gw-1", std::nullopt, head_of(log), true, 1).record;
  }
  static fleet::v1::AuditProof proof_of(const std::vector<Digest>& log, std::uint64_t old_size) {
    fleet::v1::AuditProof proof;
    proof.set_old_size(old_size);
    proof.set_new_size(log.size());
    const auto hashes = security::consistency_proof(log, old_size);
    for (const Digest& hash : *hashes) {
      proof.add_hashes(hash.raw());
    }
    return proof;
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

TEST_F(WitnessTest, GrowthIsTakenWithItsProofAlone) {
  for (std::uint64_t size = 2; size <= 20; ++size) {
    const auto log = log_of(size);
    for (std::uint64_t old_size = 1; old_size < size; ++old_size) {
      const auto held = held_at(log_of(old_size));
      const auto offered = judge_checkpoint("gw-1", held, head_of(log), false, 2);
      EXPECT_TRUE(offered.needs_proof);
      EXPECT_FALSE(offered.changed);
      EXPECT_EQ(offered.record.size, held.size) << "nothing is believed yet";
      const auto grown = judge_growth(held, head_of(log), proof_of(log, old_size), 3);
      EXPECT_EQ(grown.finding, "") << old_size << " to " << size;
      EXPECT_TRUE(grown.changed);
      EXPECT_EQ(grown.record.size, static_cast<std::int64_t>(size));
      EXPECT_EQ(grown.record.at_ms, 3);
      EXPECT_EQ(grown.record.verifier_key, held.verifier_key);
    }
  }
}

TEST_F(WitnessTest, AForkedLogIsRefusedAndBothTreesAreNamed) {
  const auto honest = log_of(9);
  const auto held = held_at(honest);
  // The device rewrote record 4 and everything after it, and went on.
  const auto forked = log_of(14, 4);
  const auto verdict = judge_growth(held, head_of(forked), proof_of(forked, 9), 2);
  EXPECT_TRUE(verdict.changed);
  EXPECT_EQ(verdict.record.size, 9) << "the proven head is kept";
  EXPECT_EQ(verdict.record.flag, verdict.finding);
  EXPECT_EQ(verdict.finding,
            "fork: the signed log of 14 records (root " +
                security::merkle_root(forked).hex().substr(0, 16) +
                ") is not proven to continue the signed log of 9 records (root " +
                security::merkle_root(honest).hex().substr(0, 16) + ")");
}

TEST_F(WitnessTest, AProofThatIsCutForgedOrMissingProvesNothing) {
  const auto log = log_of(14);
  const auto held = held_at(log_of(9));
  const auto refused = [&](auto change) {
    auto proof = proof_of(log, 9);
    change(proof);
    const auto verdict = judge_growth(held, head_of(log), proof, 2);
    EXPECT_EQ(verdict.record.size, 9);
    return verdict.finding;
  };
  using Proof = fleet::v1::AuditProof;
  EXPECT_EQ(judge_growth(held, head_of(log), proof_of(log, 9), 2).finding, "");
  EXPECT_EQ(refused([](Proof& p) { p.clear_hashes(); }).substr(0, 5), "fork:");
  EXPECT_EQ(refused([](Proof& p) { p.mutable_hashes()->RemoveLast(); }).substr(0, 5), "fork:");
  EXPECT_EQ(refused([](Proof& p) { (*p.mutable_hashes(0))[3] ^= 1; }).substr(0, 5), "fork:");
  EXPECT_EQ(refused([](Proof& p) { p.add_hashes("short"); }).substr(0, 5), "fork:");
  EXPECT_EQ(refused([](Proof& p) {
              for (int i = 0; i < 1000; ++i) {
                p.add_hashes(std::string(32, 'x'));
              }
            }).substr(0, 5),
            "fork:");
  EXPECT_EQ(refused([](Proof& p) { p.set_error("audit_corrupt: seg-0"); }).substr(0, 9),
            "no proof:");
}

TEST_F(WitnessTest, OlderOnesFromTheOutboxAreNoNews) {
  const auto held = judge_checkpoint("gw-1", std::nullopt, checkpoint(9), true, 1).record;
  const auto old = judge_checkpoint("gw-1", held, checkpoint(5), false, 3);
  EXPECT_FALSE(old.changed);
  EXPECT_FALSE(old.needs_proof);
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
