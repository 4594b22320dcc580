#pragma once

// The messages of Anthropic's requests, whose content is blocks: text, thoughts, calls of tools and
// their results. Private to anthropic_request.cpp.

#include <string>
#include <vector>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::anthropic {

// Appends what one message says: results become messages of their own, before the rest.
Result<void> read_turn(const Json& message,
                       const std::string& where,
                       std::vector<ChatMessage>& out);

// "tools", "tool_choice" and "thinking" of a body that came as `document`.
Result<void> read_tool_use(const Json& body, std::string_view document, TextRequest& out);

}  // namespace skerry::agent::anthropic
