#pragma once

// Names what a sequence has in the engine: one SHA-256 for each full block of tokens, over the
// block and the name of the one before it. Equal names mean equal tokens from the very beginning,
// so that two sequences are compared without their tokens. The first name is salted with the model
// and with a scope, the principal: nobody finds what somebody else has asked. ADR 0102. Blocks of
// pinned prompts have names without the principal; it comes in after the last of them. ADR 0114.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"

namespace skerry::runtime {

// Names of the blocks that all principals share. Complete before a chain uses it.
class PublicBlocks {
 public:
  explicit PublicBlocks(const Digest& model);

  // Names the whole blocks of `tokens`, which begin a sequence.
  void add(std::span<const std::int32_t> tokens);
  [[nodiscard]] const Digest& root() const { return root_; }
  [[nodiscard]] bool contains(const Digest& name) const { return names_.contains(name); }

 private:
  Digest root_;
  std::set<Digest> names_;
};

class PrefixChain {
 public:
  // Tokens of one block; what is shared is always a whole number of them.
  static constexpr std::size_t kBlock = 32;

  // Shares nothing with any other.
  PrefixChain() = default;
  PrefixChain(const Digest& model,
              std::string_view scope,
              std::shared_ptr<const PublicBlocks> shared = nullptr);

  // Names the blocks that became full; `tokens` are all of the sequence, from its first.
  void extend(std::span<const std::int32_t> tokens);
  // Forgets the blocks that end beyond `tokens`.
  void cut(std::size_t tokens);

  // Tokens that have a name.
  [[nodiscard]] std::size_t tokens() const { return links_.size() * kBlock; }
  // Of its blocks, from the first on.
  [[nodiscard]] std::span<const Digest> names() const { return links_; }
  // Of both, from the beginning on.
  [[nodiscard]] std::size_t common(const PrefixChain& other) const;

 private:
  [[nodiscard]] Digest next(std::span<const std::int32_t> block);

  Digest root_;
  std::shared_ptr<const PublicBlocks> shared_;
  std::vector<Digest> links_;
  std::size_t public_ = 0;  // of the first blocks, those with everybody's names
};

}  // namespace skerry::runtime
