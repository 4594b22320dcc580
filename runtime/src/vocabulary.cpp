#include "vocabulary.hpp"

#include <algorithm>

namespace skerry::runtime {

Result<std::shared_ptr<const Vocabulary>> Vocabulary::read(
    StepEngine& engine, std::uint32_t size, const std::map<std::int32_t, std::string>& shown) {
  auto made = std::make_shared<Vocabulary>();
  made->begins_.reserve(size + 1U);
  made->begins_.push_back(0);
  for (std::uint32_t i = 0; i < size; ++i) {
    const auto token = static_cast<std::int32_t>(i);
    const bool end = engine.is_end(token);
    made->ends_.push_back(end ? 1 : 0);
    const auto mark = shown.find(token);
    Result<std::string> piece =
        mark == shown.end() ? engine.piece(token) : Result<std::string>{mark->second};
    if (!piece) {
      return piece.error().with_context("reading the vocabulary");
    }
    if (!end) {
      made->text_ += *piece;
      made->longest_ = std::max(made->longest_, piece->size());
    }
    if (!end && !piece->empty()) {
      made->sorted_.push_back({token, 0});
    }
    made->begins_.push_back(static_cast<std::uint32_t>(made->text_.size()));
  }
  std::sort(made->sorted_.begin(), made->sorted_.end(), [&](const Entry& a, const Entry& b) {
    return made->bytes(a.token) < made->bytes(b.token);
  });
  for (std::size_t i = 1; i < made->sorted_.size(); ++i) {
    const std::string_view before = made->bytes(made->sorted_[i - 1].token);
    const std::string_view here = made->bytes(made->sorted_[i].token);
    const std::size_t most = std::min(before.size(), here.size());
    std::uint32_t shared = 0;
    while (shared < most && before[shared] == here[shared]) {
      ++shared;
    }
    made->sorted_[i].shared = shared;
  }
  return std::shared_ptr<const Vocabulary>{std::move(made)};
}

}  // namespace skerry::runtime
