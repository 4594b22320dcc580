#include "skerry/security/merkle.hpp"

#include <array>

#include <gtest/gtest.h>

namespace skerry::security {
namespace {

// The leaves and roots of the certificate-transparency test data.
const std::array<const char*, 8> kLeaves{"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
const std::array<const char*, 8> kRoots{
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

std::vector<Digest> leaves(std::size_t count) {
  std::vector<Digest> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(merkle_leaf(as_bytes("leaf " + std::to_string(i))));
  }
  return out;
}

TEST(Merkle, HasTheRootsOfTheReferenceTrees) {
  MerkleFrontier frontier;
  std::vector<Digest> all;
  EXPECT_EQ(frontier.root(), Digest::of(std::string_view{}));
  for (std::size_t i = 0; i < kLeaves.size(); ++i) {
    all.push_back(merkle_leaf(*from_hex(kLeaves[i])));
    frontier.append(all.back());
    EXPECT_EQ(frontier.root().hex(), kRoots[i]) << i;
    EXPECT_EQ(merkle_root(all).hex(), kRoots[i]) << i;
  }
}

TEST(Merkle, FrontierIsRestoredFromItsEdge) {
  MerkleFrontier frontier;
  for (const Digest& leaf : leaves(37)) {
    frontier.append(leaf);
  }
  auto restored = MerkleFrontier::restore(37, frontier.edge());
  ASSERT_TRUE(restored);
  EXPECT_EQ(*restored, frontier);
  restored->append(leaves(1)[0]);
  EXPECT_EQ(restored->size(), 38U);
  EXPECT_FALSE(MerkleFrontier::restore(38, frontier.edge()) &&
               MerkleFrontier::restore(39, frontier.edge()));
  EXPECT_FALSE(MerkleFrontier::restore(63, frontier.edge()));
}

TEST(Merkle, EveryInclusionProofLeadsToTheRootAndNoOther) {
  for (std::size_t size = 1; size <= 33; ++size) {
    const auto all = leaves(size);
    const Digest root = merkle_root(all);
    for (std::size_t i = 0; i < size; ++i) {
      auto proof = *inclusion_proof(all, i);
      EXPECT_TRUE(verify_inclusion(all[i], i, size, proof, root)) << i << " of " << size;
      EXPECT_FALSE(verify_inclusion(merkle_leaf(as_bytes("x")), i, size, proof, root));
      if (size > 1) {
        EXPECT_FALSE(verify_inclusion(all[i], (i + 1) % size, size, proof, root))
            << i << " of " << size;
      }
      proof.push_back(root);
      EXPECT_FALSE(verify_inclusion(all[i], i, size, proof, root));
      proof.pop_back();
      if (!proof.empty()) {
        proof.pop_back();
        EXPECT_FALSE(verify_inclusion(all[i], i, size, proof, root));
      }
    }
    EXPECT_FALSE(inclusion_proof(all, size));
  }
}

TEST(Merkle, EveryConsistencyProofConnectsTwoTrees) {
  for (std::size_t now = 1; now <= 33; ++now) {
    const auto all = leaves(now);
    const Digest root = merkle_root(all);
    for (std::size_t before = 0; before <= now; ++before) {
      const Digest old_root = merkle_root(std::span{all}.first(before));
      auto proof = *consistency_proof(all, before);
      EXPECT_TRUE(verify_consistency(before, old_root, now, root, proof))
          << before << " to " << now;
      if (before > 0 && before < now) {
        const Digest other = merkle_leaf(as_bytes("other"));
        EXPECT_FALSE(verify_consistency(before, other, now, root, proof));
        EXPECT_FALSE(verify_consistency(before, old_root, now, other, proof));
        proof.pop_back();
        EXPECT_FALSE(verify_consistency(before, old_root, now, root, proof));
      }
    }
    EXPECT_FALSE(consistency_proof(all, now + 1));
  }
  EXPECT_FALSE(verify_consistency(2, Digest{}, 1, Digest{}, {}));
}

}  // namespace
}  // namespace skerry::security
