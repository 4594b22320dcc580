#include "call_reader.hpp"

#include <algorithm>

#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

constexpr std::size_t kMostUntold = 1U << 20U;
constexpr std::string_view kFenceCall = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>";
constexpr std::string_view kFenceCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kFenceOpen = "\n```json\n";
constexpr std::string_view kFenceClose = "\n```";

bool is_json_blank(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

// What a JSON string's inside stands for; as it is if it is none.
std::string unescaped(const std::string& inside) {
  Result<Json> value = Json::parse("\"" + inside + "\"");
  return value && value->string() != nullptr ? *value->string() : inside;
}

}  // namespace

bool CallReader::take(char c, std::vector<AnswerPart>& out) {
  if (!told_) {
    raw_ += c;
    if (raw_.size() > kMostUntold) {
      return false;
    }
  }
  switch (state_) {
    case State::kBetween:
      return take_between(c);
    case State::kText:
      return take_string(c);
    case State::kArguments:
    case State::kSkipped:
      return take_value(c, out);
    case State::kFence:
      return take_fence(c, out);
    default:
      return take_member(c, out);
  }
}

// Between calls there are a list's brackets and commas, marks, and white space.
bool CallReader::take_between(char c) {
  word_ += c;
  if (!syntax_.fenced && c == '{') {
    state_ = State::kKey;
    word_.clear();
    return true;
  }
  if (is_json_blank(c) || (syntax_.list && (c == '[' || c == ',' || c == ']'))) {
    word_.pop_back();
    if (c == ']') {
      forget();
    }
    return true;
  }
  const bool open = syntax_.fenced && !closed_;
  const std::string_view marks[] = {syntax_.mark,
                                    closed_ ? std::string_view{} : syntax_.close,
                                    open ? kFenceCall : std::string_view{},
                                    open ? kFenceCallEnd : std::string_view{}};
  for (const std::string_view mark : marks) {
    if (!mark.empty() && word_ == mark) {
      word_.clear();
      pass(mark);
      return true;
    }
    if (mark.substr(0, word_.size()) == word_ && !word_.empty()) {
      return true;
    }
  }
  return false;
}

void CallReader::pass(std::string_view mark) {
  if (mark == kFenceCall) {
    state_ = State::kFence;
  } else if (mark == syntax_.close || mark == kFenceCallEnd) {
    forget();
  }
  // Elsewhere the mark that closes stands after each call; here no call follows it.
  if (syntax_.fenced && (mark == syntax_.close || mark == syntax_.mark)) {
    closed_ = mark == syntax_.close;
  }
}

void CallReader::forget() {
  if (any()) {
    raw_.clear();
  }
}

bool CallReader::take_member(char c, std::vector<AnswerPart>& out) {
  if (is_json_blank(c)) {
    return true;
  }
  switch (state_) {
    case State::kKey:
      if (c == '}') {
        end_call(out);
        return told_ || state_ == State::kBetween;
      }
      keyed_ = true;
      word_.clear();
      state_ = State::kText;
      return c == '"';
    case State::kColon:
      state_ = State::kValue;
      return c == ':';
    case State::kValue:
      if (key_ == "name" && c == '"') {
        keyed_ = false;
        word_.clear();
        state_ = State::kText;
        return true;
      }
      state_ = key_ == syntax_.arguments ? State::kArguments : State::kSkipped;
      depth_ = 0;
      quoted_ = false;
      escaped_ = false;
      return take_value(c, out);
    case State::kAfter:
      if (c == '}') {
        if (name_.empty()) {
          return false;
        }
        end_call(out);
        return true;
      }
      state_ = State::kKey;
      return c == ',';
    default:
      return false;
  }
}

bool CallReader::take_string(char c) {
  if (escaped_ || c == '\\') {
    escaped_ = !escaped_;
    word_ += c;
    return true;
  }
  if (c != '"') {
    word_ += c;
    return word_.size() <= ToolLimits::kNameBytes * 6;
  }
  if (keyed_) {
    key_ = unescaped(word_);
    state_ = State::kColon;
    return true;
  }
  name_ = unescaped(word_);
  state_ = State::kAfter;
  return may_call();
}

bool CallReader::may_call() const {
  return std::find(names_.begin(), names_.end(), name_) != names_.end();
}

bool CallReader::within_value(char c) {
  if (quoted_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      quoted_ = false;
    }
    return true;
  }
  if (c == '"') {
    quoted_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    if (depth_ == 0) {
      return false;
    }
    --depth_;
  } else if (c == ',' && depth_ == 0) {
    return false;
  }
  return true;
}

void CallReader::argue(char c, std::vector<AnswerPart>& out) {
  if (!told_) {
    arguments_ += c;
    return;
  }
  if (out.empty() || out.back().kind != AnswerPart::Kind::kArguments || out.back().call != call_) {
    out.push_back({AnswerPart::Kind::kArguments, {}, call_, {}, {}});
  }
  out.back().text += c;
}

bool CallReader::take_value(char c, std::vector<AnswerPart>& out) {
  if (!within_value(c)) {
    state_ = State::kAfter;
    return take_member(c, out);
  }
  if (state_ == State::kArguments) {
    if (!told_ && !name_.empty()) {
      tell(out);
    }
    argue(c, out);
    if (depth_ == 0 && !quoted_ && (c == '}' || c == ']')) {
      state_ = State::kAfter;
    }
  }
  return true;
}

void CallReader::tell(std::vector<AnswerPart>& out) {
  told_ = true;
  out.push_back({AnswerPart::Kind::kCall, {}, call_, make_id_(), name_});
  if (!arguments_.empty()) {
    out.push_back({AnswerPart::Kind::kArguments, std::exchange(arguments_, {}), call_, {}, {}});
  }
}

void CallReader::end_call(std::vector<AnswerPart>& out) {
  if (name_.empty()) {
    return;
  }
  if (!told_) {
    if (arguments_.empty()) {
      arguments_ = "{}";
    }
    tell(out);
  }
  ++call_;
  told_ = false;
  name_.clear();
  key_.clear();
  word_.clear();
  raw_.clear();
  state_ = State::kBetween;
}

bool CallReader::take_fence(char c, std::vector<AnswerPart>& out) {
  word_ += c;
  if (name_.empty()) {
    if (word_.ends_with(kFenceOpen)) {
      name_ = word_.substr(0, word_.size() - kFenceOpen.size());
      word_.clear();
      return may_call();
    }
    return word_.size() < ToolLimits::kNameBytes + kFenceOpen.size();
  }
  if (word_.ends_with(kFenceClose)) {
    arguments_ = word_.substr(0, word_.size() - kFenceClose.size());
    end_call(out);
  }
  return true;
}

}  // namespace skerry::agent
