#include "prefix_chain.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace skerry::runtime {

namespace {

constexpr std::string_view kPublicScope = "skerry pinned prompts";

Digest name_of(const Digest& before, std::span<const std::int32_t> block) {
  constexpr std::size_t kTokenBytes = 4;
  std::array<std::uint8_t, Digest::kSize + PrefixChain::kBlock * kTokenBytes> text{};
  auto out = std::copy(before.bytes().begin(), before.bytes().end(), text.begin());
  for (const std::int32_t one : block) {
    const auto token = static_cast<std::uint32_t>(one);
    for (unsigned byte = 0; byte < kTokenBytes; ++byte) {
      *out++ = static_cast<std::uint8_t>(token >> (8 * byte));
    }
  }
  return Digest::of(ByteView{text});
}

}  // namespace

PublicBlocks::PublicBlocks(const Digest& model)
    : root_(Digest::of(std::string{kPublicScope}.append(model.raw()))) {}

void PublicBlocks::add(std::span<const std::int32_t> tokens) {
  Digest before = root_;
  for (; tokens.size() >= PrefixChain::kBlock; tokens = tokens.subspan(PrefixChain::kBlock)) {
    before = name_of(before, tokens.first(PrefixChain::kBlock));
    names_.insert(before);
  }
}

PrefixChain::PrefixChain(const Digest& model,
                         std::string_view scope,
                         std::shared_ptr<const PublicBlocks> shared)
    : root_(Digest::of(model.raw() + std::string{scope})), shared_(std::move(shared)) {}

void PrefixChain::extend(std::span<const std::int32_t> tokens) {
  if (root_.is_zero()) {
    return;
  }
  for (std::size_t first = links_.size() * kBlock; first + kBlock <= tokens.size();
       first += kBlock) {
    links_.push_back(next(tokens.subspan(first, kBlock)));
  }
}

// Everybody's name as long as all blocks before have one; the principal's own after that.
Digest PrefixChain::next(std::span<const std::int32_t> block) {
  if (shared_ && public_ == links_.size()) {
    const Digest name = name_of(links_.empty() ? shared_->root() : links_.back(), block);
    if (shared_->contains(name)) {
      ++public_;
      return name;
    }
  }
  if (links_.empty()) {
    return name_of(root_, block);
  }
  const bool parts = public_ == links_.size();
  return name_of(parts ? Digest::of(root_.raw() + links_.back().raw()) : links_.back(), block);
}

void PrefixChain::cut(std::size_t tokens) {
  links_.resize(std::min(links_.size(), tokens / kBlock));
  public_ = std::min(public_, links_.size());
}

// The names agree up to some block and nowhere after it.
std::size_t PrefixChain::common(const PrefixChain& other) const {
  std::size_t low = 0;
  std::size_t high = std::min(links_.size(), other.links_.size());
  while (low < high) {
    const std::size_t middle = low + (high - low + 1) / 2;
    if (links_[middle - 1] == other.links_[middle - 1]) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * kBlock;
}

}  // namespace skerry::runtime
