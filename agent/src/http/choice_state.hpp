#pragma once

// What has come of one choice of a text request and was not taken yet. Text and log-probabilities
// are joined, so they are bounded by the answer. For text_call.cpp.

#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/chat_reader.hpp"
#include "skerry/agent/text_request.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

struct ChoiceState {
  runtime::RequestHandle handle;
  std::string text;
  std::vector<TextLogProb> log_probs;
  // Thoughts and calls; what came before text that is not taken yet.
  std::vector<AnswerPart> parts;
  bool called = false;
  std::optional<runtime::Started> started;
  std::optional<runtime::Done> done;
  // That it ended was told to the client.
  bool told = false;

  // There is something to tell the client. Log-probabilities come without text where a token holds
  // part of a code point, or text waits for the end of a stop sequence.
  [[nodiscard]] bool has_news() const {
    return !text.empty() || !log_probs.empty() || !parts.empty() || (done && !told);
  }
};

}  // namespace skerry::agent
