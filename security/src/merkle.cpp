#include "skerry/security/merkle.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace skerry::security {

namespace {

constexpr std::array<std::uint8_t, 1> kLeafPrefix{0};
constexpr std::array<std::uint8_t, 1> kNodePrefix{1};

Error bad_proof(std::string_view why) {
  return Error{Error::Code::kAuditCorrupt, "Merkle proof: " + std::string{why}};
}

// RFC 6962 2.1: the largest power of two below n, for n > 1.
std::size_t split_point(std::size_t n) {
  return std::bit_floor(n - 1);
}

void subproof(std::span<const Digest> leaves,
              std::uint64_t old_size,
              bool complete,
              std::vector<Digest>& out) {
  if (old_size == leaves.size()) {
    if (!complete) {
      out.push_back(merkle_root(leaves));
    }
    return;
  }
  const std::size_t k = split_point(leaves.size());
  if (old_size <= k) {
    subproof(leaves.first(k), old_size, complete, out);
    out.push_back(merkle_root(leaves.subspan(k)));
  } else {
    subproof(leaves.subspan(k), old_size - k, false, out);
    out.push_back(merkle_root(leaves.first(k)));
  }
}

}  // namespace

Digest merkle_leaf(ByteView data) {
  Sha256 hash;
  hash.update(ByteView{kLeafPrefix});
  hash.update(data);
  return hash.finish();
}

Digest merkle_node(const Digest& left, const Digest& right) {
  Sha256 hash;
  hash.update(ByteView{kNodePrefix});
  hash.update(left.bytes());
  hash.update(right.bytes());
  return hash.finish();
}

Result<MerkleFrontier> MerkleFrontier::restore(std::uint64_t size, std::vector<Digest> edge) {
  if (edge.size() != static_cast<std::size_t>(std::popcount(size))) {
    return Error{Error::Code::kAuditCorrupt,
                 "a tree of " + std::to_string(size) + " leaves does not have " +
                     std::to_string(edge.size()) + " edge nodes"};
  }
  MerkleFrontier frontier;
  frontier.size_ = size;
  frontier.edge_ = std::move(edge);
  return frontier;
}

void MerkleFrontier::append(const Digest& leaf) {
  edge_.push_back(leaf);
  for (std::uint64_t n = size_; (n & 1U) != 0; n >>= 1U) {
    const Digest right = edge_.back();
    edge_.pop_back();
    edge_.back() = merkle_node(edge_.back(), right);
  }
  ++size_;
}

Digest MerkleFrontier::root() const {
  if (edge_.empty()) {
    return Digest::of(std::string_view{});
  }
  Digest root = edge_.back();
  for (auto it = edge_.rbegin() + 1; it != edge_.rend(); ++it) {
    root = merkle_node(*it, root);
  }
  return root;
}

Digest merkle_root(std::span<const Digest> leaves) {
  MerkleFrontier frontier;
  for (const Digest& leaf : leaves) {
    frontier.append(leaf);
  }
  return frontier.root();
}

Result<std::vector<Digest>> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index) {
  if (index >= leaves.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "record " + std::to_string(index) + " is not in a tree of " +
                     std::to_string(leaves.size())};
  }
  // From the top down, collecting siblings; a proof lists them from the bottom up.
  std::vector<Digest> proof;
  while (leaves.size() > 1) {
    const std::size_t k = split_point(leaves.size());
    if (index < k) {
      proof.push_back(merkle_root(leaves.subspan(k)));
      leaves = leaves.first(k);
    } else {
      proof.push_back(merkle_root(leaves.first(k)));
      leaves = leaves.subspan(k);
      index -= k;
    }
  }
  std::reverse(proof.begin(), proof.end());
  return proof;
}

Result<std::vector<Digest>> consistency_proof(std::span<const Digest> leaves,
                                              std::uint64_t old_size) {
  if (old_size > leaves.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "a tree of " + std::to_string(leaves.size()) + " cannot follow one of " +
                     std::to_string(old_size)};
  }
  std::vector<Digest> proof;
  if (old_size > 0 && old_size < leaves.size()) {
    subproof(leaves, old_size, true, proof);
  }
  return proof;
}

Result<void> verify_inclusion(const Digest& leaf,
                              std::uint64_t index,
                              std::uint64_t size,
                              std::span<const Digest> proof,
                              const Digest& root) {
  // RFC 9162 2.1.3.2.
  if (index >= size) {
    return bad_proof("the record is beyond the tree");
  }
  std::uint64_t fn = index;
  std::uint64_t sn = size - 1;
  Digest hash = leaf;
  for (const Digest& sibling : proof) {
    if (sn == 0) {
      return bad_proof("too many nodes");
    }
    if ((fn & 1U) != 0 || fn == sn) {
      hash = merkle_node(sibling, hash);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1U;
        sn >>= 1U;
      }
    } else {
      hash = merkle_node(hash, sibling);
    }
    fn >>= 1U;
    sn >>= 1U;
  }
  if (sn != 0) {
    return bad_proof("too few nodes");
  }
  if (hash != root) {
    return bad_proof("it leads to another root");
  }
  return {};
}

// The steps are the RFC's, unbroken, so that they can be compared.
// NOLINTNEXTLINE(readability-function-cognitive-complexity)
Result<void> verify_consistency(std::uint64_t old_size,
                                const Digest& old_root,
                                std::uint64_t new_size,
                                const Digest& new_root,
                                std::span<const Digest> proof) {
  // RFC 9162 2.1.4.2.
  if (old_size > new_size) {
    return bad_proof("the newer tree is smaller");
  }
  if (old_size == 0 || old_size == new_size) {
    if (!proof.empty()) {
      return bad_proof("too many nodes");
    }
    const Digest expected = old_size == 0 ? Digest::of(std::string_view{}) : new_root;
    return old_root == expected ? Result<void>{} : Result<void>{bad_proof("the roots differ")};
  }
  std::vector<Digest> path(proof.begin(), proof.end());
  if (std::has_single_bit(old_size)) {
    path.insert(path.begin(), old_root);
  }
  if (path.empty()) {
    return bad_proof("too few nodes");
  }
  std::uint64_t fn = old_size - 1;
  std::uint64_t sn = new_size - 1;
  while ((fn & 1U) != 0) {
    fn >>= 1U;
    sn >>= 1U;
  }
  Digest fr = path.front();
  Digest sr = path.front();
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (sn == 0) {
      return bad_proof("too many nodes");
    }
    if ((fn & 1U) != 0 || fn == sn) {
      fr = merkle_node(path[i], fr);
      sr = merkle_node(path[i], sr);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1U;
        sn >>= 1U;
      }
    } else {
      sr = merkle_node(sr, path[i]);
    }
    fn >>= 1U;
    sn >>= 1U;
  }
  if (sn != 0) {
    return bad_proof("too few nodes");
  }
  if (fr != old_root || sr != new_root) {
    return bad_proof("it leads to another root");
  }
  return {};
}

}  // namespace skerry::security
