#pragma once

// The RFC 6962 Merkle tree: roots, inclusion and consistency proofs, and their verification. Used
// by the audit log on the device and by the controller, which is its witness. Pure functions and
// values, no I/O.

#include <cstdint>
#include <span>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// SHA-256(0x00 ‖ data).
Digest merkle_leaf(ByteView data);
// SHA-256(0x01 ‖ left ‖ right).
Digest merkle_node(const Digest& left, const Digest& right);

// The right edge of a growing tree: append in O(log n), root in O(log n), 64 digests at most.
class MerkleFrontier {
 public:
  MerkleFrontier() = default;
  // From a stored edge; kAuditCorrupt unless it has one digest per bit set in `size`.
  static Result<MerkleFrontier> restore(std::uint64_t size, std::vector<Digest> edge);

  void append(const Digest& leaf);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] Digest root() const;
  // Roots of the perfect subtrees, largest first.
  [[nodiscard]] const std::vector<Digest>& edge() const { return edge_; }

  friend bool operator==(const MerkleFrontier&, const MerkleFrontier&) = default;

 private:
  std::uint64_t size_ = 0;
  std::vector<Digest> edge_;
};

Digest merkle_root(std::span<const Digest> leaves);
// kInvalidArgument if `index` is not below the number of leaves.
Result<std::vector<Digest>> inclusion_proof(std::span<const Digest> leaves, std::uint64_t index);
// That the first `old_size` leaves are a prefix. kInvalidArgument unless old_size <= leaves.size().
Result<std::vector<Digest>> consistency_proof(std::span<const Digest> leaves,
                                              std::uint64_t old_size);

// kAuditCorrupt if the proof does not lead to the root.
Result<void> verify_inclusion(const Digest& leaf,
                              std::uint64_t index,
                              std::uint64_t size,
                              std::span<const Digest> proof,
                              const Digest& root);
Result<void> verify_consistency(std::uint64_t old_size,
                                const Digest& old_root,
                                std::uint64_t new_size,
                                const Digest& new_root,
                                std::span<const Digest> proof);

}  // namespace skerry::security
