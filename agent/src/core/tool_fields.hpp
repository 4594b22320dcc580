#pragma once

// How clients offer tools and tell of their calls and results, in the members that OpenAI,
// Anthropic and Ollama name differently. Private to the agent's parsers.

#include <string>
#include <string_view>

#include "skerry/agent/text_request.hpp"
#include "skerry/agent/tool_calls.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::fields {

// "tools" of a body. `document` is the body as it came: a schema's members keep their order.
struct ToolPlace {
  std::string_view document;
  bool wrapped = true;                     // each is {"type": "function", "function": {…}}
  std::string_view schema = "parameters";  // the member that has the arguments' schema
};
Result<void> read_tools(const Json& body, const ToolPlace& place, ToolUse& out);

// "tool_choice" and "parallel_tool_calls", as OpenAI's calls have them. After `read_tools`.
Result<void> read_tool_choice(const Json& body, ToolUse& out);

// The named tool is among the tools, and where one must be called there is one.
Result<void> check_tool_choice(const ToolUse& use);

// [{"id", "type": "function", "function": {"name", "arguments"}}] of a message; arguments are JSON
// text or, as Ollama has it, an object.
Result<void> read_calls(const Json& message, const std::string& where, ChatMessage& out);

// JSON text of a call's arguments: an object.
Result<std::string> read_arguments(const Json& value, const std::string& where);

}  // namespace skerry::agent::fields
