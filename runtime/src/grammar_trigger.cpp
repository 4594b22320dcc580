#include "grammar_trigger.hpp"

#include <algorithm>

namespace skerry::runtime {
namespace {

constexpr std::string_view kBlanks = " \n\r\t";
constexpr std::string_view kThoughtsOpen = "<think>";
constexpr std::string_view kThoughtsClose = "</think>";

// The answer's part of `text`, its end, past what the model thinks; `thoughts` and `blank` go on
// with it.
std::string_view past_thoughts(std::string_view text, Thoughts& thoughts, bool& blank) {
  if (thoughts == Thoughts::kMayBegin) {
    const std::size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    const std::string_view said = text.substr(begin);
    if (said.starts_with(kThoughtsOpen)) {
      thoughts = Thoughts::kWithin;
      text = said.substr(kThoughtsOpen.size());
    } else if (!kThoughtsOpen.starts_with(said)) {
      thoughts = Thoughts::kNone;
    }
  }
  if (thoughts == Thoughts::kWithin) {
    const std::size_t end = text.find(kThoughtsClose);
    if (end == std::string_view::npos) {
      return {};
    }
    thoughts = Thoughts::kNone;
    blank = true;
    text.remove_prefix(end + kThoughtsClose.size());
  }
  return text;
}

}  // namespace

GrammarTrigger::GrammarTrigger(std::vector<std::string> anywhere,
                               std::vector<std::string> at_start,
                               Thoughts thoughts)
    : anywhere_(std::move(anywhere)), at_start_(std::move(at_start)), thoughts_(thoughts) {
  for (const std::string& text : anywhere_) {
    longest_ = std::max(longest_, text.size());
  }
  for (const std::string& text : at_start_) {
    longest_ = std::max(longest_, text.size());
  }
  if (thoughts_ != Thoughts::kNone) {
    longest_ = std::max(longest_, kThoughtsClose.size());
  }
}

std::optional<std::string> GrammarTrigger::pulled_by(std::string_view piece) const {
  const std::string all = tail_ + std::string{piece};
  Thoughts thoughts = thoughts_;
  bool blank = blank_;
  const std::string_view text = past_thoughts(all, thoughts, blank);
  std::size_t first = std::string_view::npos;
  for (const std::string& mark : anywhere_) {
    first = std::min(first, text.find(mark));
  }
  if (first != std::string_view::npos) {
    return std::string{text.substr(first)};
  }
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (!blank || begin == std::string_view::npos) {
    return std::nullopt;
  }
  for (const std::string& mark : at_start_) {
    if (text.substr(begin).starts_with(mark)) {
      return std::string{text.substr(begin)};
    }
  }
  return std::nullopt;
}

void GrammarTrigger::passed(std::string_view piece) {
  tail_ += piece;
  const std::string_view text = past_thoughts(tail_, thoughts_, blank_);
  if (thoughts_ != Thoughts::kWithin) {
    tail_.erase(0, tail_.size() - text.size());
    const std::size_t begin = tail_.find_first_not_of(kBlanks);
    if (blank_ && begin != std::string::npos) {
      // It may still become one of those that stand at the start.
      const std::string_view said = std::string_view{tail_}.substr(begin);
      blank_ = std::any_of(at_start_.begin(), at_start_.end(), [said](const std::string& mark) {
        return mark.compare(0, said.size(), said) == 0;
      });
    }
  }
  const std::size_t keep = longest_ == 0 ? 0 : longest_ - 1;
  if (tail_.size() > keep) {
    tail_.erase(0, tail_.size() - keep);
  }
}

}  // namespace skerry::runtime
