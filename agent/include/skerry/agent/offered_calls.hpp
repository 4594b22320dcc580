#pragma once

// Calls that another server told apart from the text: a call of a tool that was not offered is told
// as text, and those after it are numbered without it. Fed by the service layer (inference.cpp);
// answers of our own workers are read by ChatReader, which does the same. Pure.

#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/chat_reader.hpp"

namespace skerry::agent {

class OfferedCalls {
 public:
  explicit OfferedCalls(std::vector<std::string> names) : names_(std::move(names)) {}

  // Appends what is told of it.
  void take(AnswerPart part, std::vector<AnswerPart>& out);
  // Something else than a call's arguments follows, or the end.
  void close(std::vector<AnswerPart>& out);

 private:
  std::vector<std::string> names_;
  std::optional<std::size_t> refused_;  // the server's number of the call that is told as text
  std::size_t left_out_ = 0;
};

}  // namespace skerry::agent
