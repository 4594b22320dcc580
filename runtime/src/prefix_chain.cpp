#include "prefix_chain.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace skerry::runtime {

PrefixChain::PrefixChain(const Digest& model, std::string_view scope)
    : root_(Digest::of(model.raw() + std::string{scope})) {}

void PrefixChain::extend(std::span<const std::int32_t> tokens) {
  if (root_.is_zero()) {
    return;
  }
  constexpr std::size_t kTokenBytes = 4;
  std::array<std::uint8_t, Digest::kSize + kBlock * kTokenBytes> text{};
  for (std::size_t first = links_.size() * kBlock; first + kBlock <= tokens.size();
       first += kBlock) {
    const Digest& before = links_.empty() ? root_ : links_.back();
    auto out = std::copy(before.bytes().begin(), before.bytes().end(), text.begin());
    for (std::size_t i = first; i < first + kBlock; ++i) {
      const auto token = static_cast<std::uint32_t>(tokens[i]);
      for (unsigned byte = 0; byte < kTokenBytes; ++byte) {
        *out++ = static_cast<std::uint8_t>(token >> (8 * byte));
      }
    }
    links_.push_back(Digest::of(ByteView{text}));
  }
}

void PrefixChain::cut(std::size_t tokens) {
  links_.resize(std::min(links_.size(), tokens / kBlock));
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
