#include <algorithm>
#include <cmath>
#include <utility>

#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/json.hpp"

#include "fault.hpp"

namespace skerry::agent::upstream {
namespace {

using runtime::TokenLogProb;

constexpr std::size_t kMostTop = 64;
// Less than the least of any model, and a number that every reader can write.
constexpr double kLeastLogProb = -1.0e9;

const Json* member_of(const Json* value, std::string_view key) {
  const Json* found = value == nullptr ? nullptr : value->find(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::string text_of(const Json* value) {
  const std::string* text = value == nullptr ? nullptr : value->string();
  return text == nullptr ? std::string{} : *text;
}

std::uint32_t count_of(const Json* value) {
  if (value == nullptr || !value->is_int()) {
    return 0;
  }
  const std::int64_t count = value->as_int().value_or(0);
  return count < 0 || count > 0x7fffffff ? 0 : static_cast<std::uint32_t>(count);
}

float log_prob_of(const Json* value) {
  const double number = value == nullptr ? 0.0 : value->as_number().value_or(0.0);
  return std::isnan(number) ? 0.0F : static_cast<float>(std::clamp(number, kLeastLogProb, 0.0));
}

// The bytes where they are told: a token may be part of a code point.
std::string piece_of(const Json& entry) {
  const Json* bytes = member_of(&entry, "bytes");
  if (bytes == nullptr || bytes->array() == nullptr) {
    return text_of(member_of(&entry, "token"));
  }
  std::string piece;
  for (const Json& byte : *bytes->array()) {
    const std::int64_t value = byte.is_int() ? byte.as_int().value_or(0) : 0;
    piece += static_cast<char>(value & 0xff);
  }
  return piece;
}

TokenLogProb::Choice choice_of(const Json& entry) {
  TokenLogProb::Choice choice;
  choice.piece = piece_of(entry);
  choice.log_prob = log_prob_of(member_of(&entry, "logprob"));
  return choice;
}

// chat: {"content": [{"token", "logprob", "bytes", "top_logprobs": […]}]}
void read_chat_log_probs(const Json& content, std::vector<TokenLogProb>& out) {
  for (const Json& entry : *content.array()) {
    TokenLogProb token;
    token.chosen = choice_of(entry);
    if (const Json* top = member_of(&entry, "top_logprobs"); top != nullptr && top->array()) {
      for (const Json& other : *top->array()) {
        if (token.top.size() < kMostTop) {
          token.top.push_back(choice_of(other));
        }
      }
    }
    out.push_back(std::move(token));
  }
}

// completions: {"tokens": […], "token_logprobs": […], "top_logprobs": [{token: number}]}
void read_text_log_probs(const Json& log_probs, std::vector<TokenLogProb>& out) {
  const Json* tokens = member_of(&log_probs, "tokens");
  const Json* numbers = member_of(&log_probs, "token_logprobs");
  if (tokens == nullptr || tokens->array() == nullptr || numbers == nullptr ||
      numbers->array() == nullptr || numbers->array()->size() != tokens->array()->size()) {
    return;
  }
  const Json* tops = member_of(&log_probs, "top_logprobs");
  for (std::size_t i = 0; i < tokens->array()->size(); ++i) {
    TokenLogProb token;
    token.chosen.piece = text_of(&(*tokens->array())[i]);
    token.chosen.log_prob = log_prob_of(&(*numbers->array())[i]);
    const bool has_top = tops != nullptr && tops->array() != nullptr && i < tops->array()->size();
    const Json::Object* top = has_top ? (*tops->array())[i].object() : nullptr;
    if (top != nullptr) {
      for (const auto& [piece, number] : *top) {
        if (token.top.size() < kMostTop) {
          TokenLogProb::Choice choice;
          choice.piece = piece;
          choice.log_prob = log_prob_of(&number);
          token.top.push_back(std::move(choice));
        }
      }
    }
    out.push_back(std::move(token));
  }
}

void read_log_probs(const Json& log_probs, std::vector<TokenLogProb>& out) {
  const Json* content = member_of(&log_probs, "content");
  if (content != nullptr && content->array() != nullptr) {
    read_chat_log_probs(*content, out);
  } else {
    read_text_log_probs(log_probs, out);
  }
  // Most probable first, as everywhere here.
  for (TokenLogProb& token : out) {
    std::stable_sort(token.top.begin(), token.top.end(), [](const auto& a, const auto& b) {
      return a.log_prob > b.log_prob;
    });
  }
}

// Of the choice: text completions have it there, chats in the delta, where a refusal stands beside
// it.
std::string text_in(const Json& choice) {
  if (const Json* text = member_of(&choice, "text")) {
    return text_of(text);
  }
  const Json* delta = member_of(&choice, "delta");
  std::string text = text_of(member_of(delta, "content"));
  return text.empty() ? text_of(member_of(delta, "refusal")) : text;
}

// What the model thought: of old and of new servers; some tell it under both names.
std::string reasoning_in(const Json* delta) {
  std::string text = text_of(member_of(delta, "reasoning"));
  return text.empty() ? text_of(member_of(delta, "reasoning_content")) : text;
}

}  // namespace

Result<TextAnswer::Piece> TextAnswer::fail(Fault fault) {
  fault_ = std::move(fault);
  return fault_.error;
}

Result<TextAnswer::Piece> TextAnswer::take(const SseEvent& event) {
  if (event.data == "[DONE]") {
    complete_ = true;
    Piece last;
    static_cast<void>(calls_.finish(true, last.calls));
    last.empty = last.calls.empty();
    return last;
  }
  JsonLimits limits;
  limits.bytes = AnswerLimits::kEventBytes;
  limits.values = AnswerLimits::kEventValues;
  Result<Json> json = Json::parse(event.data, limits);
  if (!json || !json->is_object()) {
    const std::string why = json ? "not an object" : readable(json.error().message());
    return fail(
        Fault{Error{Error::Code::kUnavailable, "the upstream's stream: " + why}, Blame::kServer});
  }
  const Json& chunk = *json;
  // Foundry Local writes "error": null into every chunk; old vLLM an object "error" without one.
  const Json* error = member_of(&chunk, "error");
  if (error != nullptr || event.name == "error" ||
      text_of(member_of(&chunk, "object")) == "error") {
    const ErrorText text = error_text(error == nullptr ? chunk : *error);
    return fail(fault_from(text.status == 0 ? 500 : text.status, text));
  }
  if (const Json* usage = member_of(&chunk, "usage"); usage != nullptr && usage->is_object()) {
    usage_.prompt_tokens = count_of(member_of(usage, "prompt_tokens"));
    usage_.completion_tokens = count_of(member_of(usage, "completion_tokens"));
    usage_.cached_tokens =
        count_of(member_of(member_of(usage, "prompt_tokens_details"), "cached_tokens"));
  }
  const Json* choices = member_of(&chunk, "choices");
  const Json::Array* list = choices == nullptr ? nullptr : choices->array();
  if (list == nullptr || list->empty()) {
    return Piece{};
  }
  Piece piece;
  if (Result<void> read = read_choice(list->front(), piece); !read) {
    return fail(Fault{Error{Error::Code::kUnavailable, "the upstream: " + read.error().message()},
                      Blame::kServer});
  }
  return piece;
}

Result<void> TextAnswer::read_choice(const Json& choice, Piece& piece) {
  runtime::TextDelta& delta = piece.delta;
  delta.text = text_in(choice);
  piece.reasoning = reasoning_in(member_of(&choice, "delta"));
  if (const Json* calls = member_of(member_of(&choice, "delta"), "tool_calls")) {
    if (Result<void> read = calls_.take(*calls, piece.calls); !read) {
      return read;
    }
  }
  // Some say "" as long as there is no reason.
  if (std::string finish = text_of(member_of(&choice, "finish_reason")); !finish.empty()) {
    finish_ = std::move(finish);
    // vLLM: the stop string, or the number of a stop token.
    stop_match_ = text_of(member_of(&choice, "stop_reason"));
    if (Result<void> read = calls_.finish(*finish_ != "tool_calls", piece.calls); !read) {
      return read;
    }
  }
  // Log-probabilities go with text alone.
  const bool other = !piece.reasoning.empty() || !piece.calls.empty();
  if (const Json* log_probs = member_of(&choice, "logprobs"); log_probs && log_probs_) {
    if (!delta.text.empty() || !other) {
      read_log_probs(*log_probs, delta.log_probs);
    }
  }
  const bool text = !delta.text.empty() || !delta.log_probs.empty();
  piece.empty = !text && !other;
  if (piece.empty) {
    return {};
  }
  if (text) {
    // The numbers of the tokens are not told; how many there were is what is counted.
    delta.tokens.resize(std::max<std::size_t>(delta.log_probs.size(), 1));
  }
  piece.tokens = std::max(static_cast<std::uint32_t>(delta.tokens.size()), 1U);
  pieces_ += piece.tokens;
  return {};
}

Result<runtime::Done> TextAnswer::end() {
  if (!finish_) {
    // Some servers end with [DONE] alone; without either the answer is a torso.
    if (!complete_) {
      fault_ = Fault{Error{Error::Code::kUnavailable, "the upstream's answer ended in the middle"},
                     Blame::kLost,
                     "its answer ended in the middle"};
      return fault_.error;
    }
    finish_ = "stop";
  }
  if (*finish_ == "content_filter") {
    // Of the request, not of the server, which would be taken from others.
    fault_ = Fault{Error{Error::Code::kUnavailable, "the upstream withheld it: content_filter"},
                   Blame::kRequest};
    return fault_.error;
  }
  if (*finish_ == "abort" || *finish_ == "error") {
    fault_ =
        Fault{Error{Error::Code::kUnavailable, "the upstream ended the answer early: " + *finish_},
              Blame::kServer};
    return fault_.error;
  }
  runtime::Done done;
  done.reason = *finish_ == "length" || *finish_ == "max_tokens" ? runtime::FinishReason::kLength
                                                                 : runtime::FinishReason::kStop;
  done.stop_match = stop_match_;
  done.usage = usage_;
  // Whoever tells a usage of nothing for an answer of something has not counted.
  if (done.usage.completion_tokens == 0) {
    done.usage.completion_tokens = pieces_;
  }
  return done;
}

}  // namespace skerry::agent::upstream
