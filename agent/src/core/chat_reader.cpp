#include "skerry/agent/chat_reader.hpp"

#include <algorithm>

#include "call_reader.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kThinkOpen = "<think>";
constexpr std::string_view kThinkClose = "</think>";
constexpr std::string_view kAnswerBlanks = " \n\r\t";
// A call without a mark begins like this; what begins with a brace is held until it is seen.
constexpr std::string_view kBareCall = "{\"name\"";

// A bare call's beginning without its white space.
std::string without_blanks(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 64)) {
    if (kAnswerBlanks.find(c) == std::string_view::npos) {
      out += c;
    }
  }
  return out.substr(0, kBareCall.size());
}

}  // namespace

ChatReader::ChatReader(Options options) : options_(std::move(options)) {
  if (options_.syntax != nullptr && options_.called) {
    begin_calls(false);
  } else if (options_.thinking) {
    state_ = State::kThoughts;
  }
}

ChatReader::~ChatReader() = default;

void ChatReader::begin_calls(bool marked) {
  // A call that was told and then broke off keeps its number.
  const std::size_t first = calls_ ? calls_->calls() + (calls_->told() ? 1 : 0) : 0;
  marked_ = marked;
  calls_ = std::make_unique<CallReader>(*options_.syntax, options_.names, options_.make_id, first);
  state_ = State::kCalls;
}

void ChatReader::add(AnswerPart::Kind kind, std::string_view text) {
  if (text.empty()) {
    return;
  }
  if (parts_.empty() || parts_.back().kind != kind) {
    parts_.push_back({kind, {}, 0, {}, {}});
  }
  parts_.back().text += text;
}

std::size_t ChatReader::may_begin(std::string_view mark) const {
  const std::size_t most = mark.empty() ? 0 : std::min(held_.size(), mark.size() - 1);
  for (std::size_t length = most; length > 0; --length) {
    if (std::string_view{held_}.substr(held_.size() - length) == mark.substr(0, length)) {
      return length;
    }
  }
  return 0;
}

std::vector<AnswerPart> ChatReader::push(std::string_view text) {
  held_ += text;
  bool more = true;
  while (more && !held_.empty()) {
    switch (state_) {
      case State::kStart:
      case State::kAfterThoughts:
        more = read_start();
        break;
      case State::kThoughts:
        more = read_thoughts();
        break;
      case State::kText:
        more = read_text();
        break;
      case State::kCalls:
        more = read_calls();
        break;
    }
  }
  return std::exchange(parts_, {});
}

std::vector<AnswerPart> ChatReader::finish() {
  ending_ = true;
  std::vector<AnswerPart> parts = push({});
  parts_ = std::move(parts);
  const bool ended = state_ == State::kCalls && calls_->between() && calls_->any();
  if (state_ == State::kCalls && !calls_->told() && !ended) {
    // A call that was cut off before it had a name and arguments is text.
    add_untold();
  }
  return std::exchange(parts_, {});
}

// Before the first text: thoughts may come, or a call without a mark.
bool ChatReader::read_start() {
  const std::size_t begin = held_.find_first_not_of(kAnswerBlanks);
  const bool after = state_ == State::kAfterThoughts;
  if (begin == std::string::npos) {
    if (ending_ || after) {
      // White space between thoughts and answer belongs to neither.
      add(AnswerPart::Kind::kText, after ? std::string_view{} : std::string_view{held_});
      held_.clear();
    }
    return false;
  }
  const std::string_view said = std::string_view{held_}.substr(begin);
  if (options_.thinks && !after && !ending_ && kThinkOpen.starts_with(said.substr(0, 7)) &&
      said.size() < kThinkOpen.size()) {
    return false;
  }
  if (options_.thinks && !after && said.starts_with(kThinkOpen)) {
    held_.erase(0, begin + kThinkOpen.size());
    state_ = State::kThoughts;
    return true;
  }
  if (options_.syntax != nullptr && options_.syntax->at_start) {
    const std::string bare = without_blanks(said);
    if (bare == kBareCall) {
      held_.erase(0, begin);
      begin_calls(false);
      return true;
    }
    if (!ending_ && kBareCall.starts_with(bare) && said.size() < 64) {
      return false;
    }
  }
  if (after) {
    held_.erase(0, begin);
  }
  state_ = State::kText;
  return true;
}

bool ChatReader::read_thoughts() {
  if (blank_) {
    // The line break after <think>.
    const std::size_t begin = std::min(held_.find_first_not_of(kAnswerBlanks), held_.size());
    held_.erase(0, begin);
    if (held_.empty()) {
      return false;
    }
    blank_ = false;
  }
  const std::size_t end = held_.find(kThinkClose);
  if (end != std::string::npos) {
    const std::size_t last = held_.find_last_not_of(kAnswerBlanks, end == 0 ? 0 : end - 1);
    const bool any = end > 0 && last != std::string::npos && last < end;
    add(AnswerPart::Kind::kReasoning, std::string_view{held_}.substr(0, any ? last + 1 : 0));
    held_.erase(0, end + kThinkClose.size());
    state_ = State::kAfterThoughts;
    return true;
  }
  // White space before the mark is not told, so what may be before it waits.
  std::size_t keep = ending_ ? 0 : may_begin(kThinkClose);
  std::size_t tell = held_.size() - keep;
  const std::size_t last =
      tell == 0 ? std::string::npos : held_.find_last_not_of(kAnswerBlanks, tell - 1);
  tell = last == std::string::npos ? 0 : last + 1;
  add(AnswerPart::Kind::kReasoning, std::string_view{held_}.substr(0, tell));
  held_.erase(0, ending_ ? held_.size() : tell);
  return false;
}

bool ChatReader::read_text() {
  if (options_.syntax == nullptr || options_.syntax->mark.empty()) {
    add(AnswerPart::Kind::kText, std::exchange(held_, {}));
    return false;
  }
  const std::string_view mark = options_.syntax->mark;
  const std::size_t found = held_.find(mark);
  if (found != std::string::npos) {
    const std::size_t last =
        found == 0 ? std::string::npos : held_.find_last_not_of(kAnswerBlanks, found - 1);
    const std::size_t tell = last == std::string::npos ? 0 : last + 1;
    add(AnswerPart::Kind::kText, std::string_view{held_}.substr(0, tell));
    held_.erase(0, found + mark.size());
    begin_calls(true);
    return true;
  }
  // White space before a call is not told either.
  std::size_t tell = held_.size() - (ending_ ? 0 : may_begin(mark));
  if (!ending_) {
    const std::size_t last =
        tell == 0 ? std::string::npos : held_.find_last_not_of(kAnswerBlanks, tell - 1);
    tell = last == std::string::npos ? 0 : last + 1;
  }
  add(AnswerPart::Kind::kText, std::string_view{held_}.substr(0, tell));
  held_.erase(0, tell);
  return false;
}

void ChatReader::add_untold() {
  const bool first = marked_ && !calls_->any();
  add(AnswerPart::Kind::kText, first ? options_.syntax->mark : std::string_view{});
  add(AnswerPart::Kind::kText, calls_->rest());
}

bool ChatReader::read_calls() {
  std::size_t taken = 0;
  while (taken < held_.size()) {
    const char c = held_[taken++];
    if (!calls_->take(c, parts_)) {
      // No call after all: it is text, as far as it was not told as a call.
      if (!calls_->told()) {
        add_untold();
      }
      held_.erase(0, taken);
      state_ = State::kText;
      return true;
    }
  }
  held_.clear();
  return false;
}

}  // namespace skerry::agent
