#pragma once

// What a server says when it fails, in the shapes that occur: a text, or an object with message,
// type and a code that is a word or a status. Private to the readers of answers.

#include <string>
#include <string_view>

#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::upstream {

struct ErrorText {
  std::string message;
  std::string code;
  int status = 0;  // 0: it does not say
};

// One bounded line for people, whatever the server wrote.
std::string readable(std::string_view text);

ErrorText error_text(const Json& error);
Fault fault_from(int status, const ErrorText& text);

}  // namespace skerry::agent::upstream
