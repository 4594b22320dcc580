#include "skerry/agent/offered_calls.hpp"

#include <algorithm>
#include <utility>

namespace skerry::agent {

void OfferedCalls::take(AnswerPart part, std::vector<AnswerPart>& out) {
  using Kind = AnswerPart::Kind;
  if (part.kind == Kind::kArguments && refused_ == part.call) {
    out.push_back({Kind::kText, std::move(part.text), 0, {}, {}});
    return;
  }
  close(out);
  const bool call = part.kind == Kind::kCall;
  if (call && std::find(names_.begin(), names_.end(), part.name) == names_.end()) {
    refused_ = part.call;
    ++left_out_;
    out.push_back({Kind::kText, "{\"name\": \"" + part.name + "\", \"arguments\": ", 0, {}, {}});
    return;
  }
  if (call || part.kind == Kind::kArguments) {
    part.call -= std::min(part.call, left_out_);
  }
  out.push_back(std::move(part));
}

void OfferedCalls::close(std::vector<AnswerPart>& out) {
  if (std::exchange(refused_, std::nullopt)) {
    out.push_back({AnswerPart::Kind::kText, "}", 0, {}, {}});
  }
}

}  // namespace skerry::agent
